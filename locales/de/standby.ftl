standby-active-server = Aktiver Server: { $holder }
standby-another-server = Ein anderer Server betreibt diese Farm. Dieser Server übernimmt, sobald der andere stoppt.
standby-open-other-server = Öffnen Sie die Adresse des anderen Servers. Diese Seite prüft alle 5 Sekunden erneut.
standby-since = seit
standby-title = Standby
