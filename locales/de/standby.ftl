standby-another-server-runs-farm = Ein anderer Server betreibt diese Farm. Dieser übernimmt, sobald er endet.
standby-open-address-server-page = Öffnen Sie die Adresse jenes Servers. Diese Seite prüft alle 5 Sekunden erneut.
standby-running = Läuft auf { $holder }
standby-since = seit
standby-standby = Standby
