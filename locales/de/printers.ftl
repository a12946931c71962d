printer-access = Proxy, TLS, Kamera
printer-access-hint = Nur nötig, wenn ein Webserver vor OctoPrint eine Anmeldung verlangt, wenn OctoPrint ein eigenes Zertifikat hat oder wenn die Kamera eine andere Adresse hat.
printer-add = Drucker hinzufügen
printer-add-by-address = Fügen Sie Drucker über ihre Adresse hinzu, oder importieren Sie eine Liste.
printer-add-several = Mehrere Drucker:
printer-address = Adresse
printer-api-key = API-Schlüssel
printer-api-key-unchanged = leer lassen, um ihn zu behalten
printer-ask-for-address = Der Drucker antwortet unter seiner Adresse nicht. Jemand mit der Rolle Verwalter oder Admin kann sie prüfen und ändern.
printer-ask-for-key = Der Drucker lehnt den API-Schlüssel ab. Jemand mit der Rolle Verwalter oder Admin kann einen anderen anfordern oder eingeben.
printer-back = Zurück
printer-ca-certificate = CA-Zertifikat (PEM)
printer-camera-address = Kamera-Adresse
printer-change-address = Adresse ändern
printer-change-tags = Tags ändern
printer-check-again = Erneut prüfen
printer-connection-test = Verbindungstest
printer-delete = Löschen
printer-delete-file = { $name } löschen
printer-details = Details
printer-discard-changes = Änderungen verwerfen
printer-discovery = Drucker im Netz
printer-discovery-again = Erneut suchen
printer-discovery-blocked = In einem Netz, mit dem dieser Server sich nicht verbinden darf
printer-discovery-disabled = Die Suche im Netz ist auf diesem Server deaktiviert (PRINTYARD_DISCOVERY). Fügen Sie Drucker über ihre Adresse hinzu, oder importieren Sie eine Liste.
printer-discovery-failed = Dieser Server kann keine Ankündigungen (mDNS) empfangen: { $why }.
printer-discovery-link = im Netz suchen
printer-discovery-none = Innerhalb von drei Sekunden wurde kein OctoPrint gefunden.
printer-discovery-none-next = Ankündigungen (mDNS) erreichen nur Server im selben Netzsegment. Ein Container braucht dafür das Netz des Hosts. In OctoPrint muss das Plugin Discovery aktiviert sein. Sonst fügen Sie Drucker über ihre Adresse hinzu, oder importieren Sie eine Liste.
printer-discovery-registered = Bereits hinzugefügt
printer-discovery-registered-as = Bereits hinzugefügt als { $name }
printer-discovery-running = Das Netz wird nach OctoPrint durchsucht. Das dauert drei Sekunden.
printer-discovery-show = Ergebnis anzeigen, falls die Seite nicht wechselt
printer-edit = Drucker bearbeiten
printer-enabled = Aktiviert: wird überwacht, nimmt Befehle an
printer-enter-key = Schlüssel eingeben
printer-file = Datei
printer-file-unknown = unbekannte Datei
printer-files = Dateien
printer-files-failed = Die Dateien konnten nicht geladen werden. Laden Sie die Seite neu.
printer-files-loading = Dateien werden geladen
printer-files-unavailable = Die Dateien erscheinen hier, sobald der Drucker erreichbar ist.
printer-headers = Header (einer pro Zeile)
printer-history = Verlauf
printer-import = Drucker importieren
printer-import-added = { $n ->
    [one] { $n } Drucker wird hinzugefügt
   *[other] { $n } Drucker werden hinzugefügt
}
printer-import-another = Andere Liste wählen
printer-import-answers = Antworten der Drucker
printer-import-count = { $n } Drucker importieren
printer-import-disabled = deaktiviert
printer-import-existing = { $n } bereits vorhanden
printer-import-file = CSV-Datei
printer-import-format = Die erste Zeile enthält die Spaltennamen: { $columns }. Nur name und url sind Pflicht. Eine Liste darf höchstens 1.000 Zeilen und 1 MB haben.
printer-import-intro = Speichern Sie eine Tabelle als CSV, mit einem Drucker pro Zeile. Vor dem Import zeigt eine Vorschau das Ergebnis für jede Zeile.
printer-import-invalid = { $n ->
    [one] { $n } Zeile lässt sich nicht importieren
   *[other] { $n } Zeilen lassen sich nicht importieren
}
printer-import-left-out = { $n ->
    [one] { $n } Zeile ausgelassen
   *[other] { $n } Zeilen ausgelassen
}
printer-import-line = Zeile
printer-import-link = eine Liste importieren
printer-import-preview = Vorschau anzeigen
printer-import-row-added = wird hinzugefügt
printer-import-row-exists = bereits vorhanden
printer-import-row-skipped = wird übersprungen
printer-import-text = Oder Zeilen einfügen
printer-import-waiting = { $n ->
    [one] { $n } Drucker hat noch nicht geantwortet…
   *[other] { $n } Drucker haben noch nicht geantwortet…
}
printer-import-with-access = mit Proxy-, TLS- oder Kamera-Einstellungen
printer-import-with-key = mit API-Schlüssel
printer-import-without-key = ohne API-Schlüssel
printer-imported = { $n ->
    [one] { $n } Drucker wurde importiert.
   *[other] { $n } Drucker wurden importiert.
}
printer-key-allow = Öffnen Sie OctoPrint, melden Sie sich an, und erlauben Sie die Anfrage von Printyard. Sie verfällt nach fünf Minuten.
printer-key-denied = OctoPrint hat keinen Schlüssel erteilt: Die Anfrage wurde dort abgelehnt, oder OctoPrint wurde neu gestartet.
printer-key-granted = OctoPrint hat einen Schlüssel erteilt. Er wird gespeichert, wenn Sie dieses Formular absenden.
printer-key-request = Schlüssel anfordern
printer-key-request-lost = Dieser Server hat die Schlüsselanfrage nicht mehr.
printer-key-request-next = Fordern Sie den Schlüssel erneut an, oder geben Sie einen ein.
printer-key-requested = Bei OctoPrint wurde ein Schlüssel angefordert.
printer-key-timeout = Die Anfrage wurde in OctoPrint nicht innerhalb von fünf Minuten erlaubt.
printer-new-api-key = Neuer API-Schlüssel
printer-no-history = Noch keine Befehle.
printer-no-events = Keine Ereignisse
printer-no-files = OctoPrint hat keine Dateien.
printer-no-prints = Noch keine Drucke.
printer-nozzle = Düse
printer-octoprint = OctoPrint
printer-octoprint-address = OctoPrint-Adresse
printer-older-history = Ältere Einträge
printer-open-octoprint = OctoPrint öffnen
printer-optional = optional
printer-plate-changed = Auf der Druckplatte liegt inzwischen ein anderer Druck. Prüfen Sie die Druckplatte, und melden Sie sie dann erneut frei.
printer-plate-not-marked-clear = Druckplatte nicht frei gemeldet
printer-plate-printing = Der Drucker druckt gerade. Melden Sie die Druckplatte frei, nachdem Sie den Druck abgenommen haben.
printer-polled-instead = Der Drucker wird stattdessen abgefragt.
printer-print-duration = Dauer
printer-print-end-not-seen = Ende unbekannt
printer-print-start = Beginn
printer-prints = Drucke
printer-proxy-password = Proxy-Passwort
printer-proxy-user = Proxy-Benutzer
printer-registry-changed-during-import = Es wurde nichts importiert, weil sich die Drucker nach der Vorschau geändert haben. Prüfen Sie die neue Vorschau, und importieren Sie dann erneut.
printer-remove = Drucker entfernen
printer-remove-camera-address = Kamera-Adresse entfernen
printer-remove-confirm = Ja, diesen Drucker entfernen
printer-remove-effect = Wartende Befehle an diesen Drucker werden übersprungen, gesendete enden als unbekannt. Seine Drucke und Befehle bleiben im Verlauf. Ein laufender Druck geht weiter.
printer-remove-named = { $name } entfernen
printer-remove-unconfirmed = { $name } wurde nicht entfernt. Gehen Sie zurück, bestätigen Sie das Entfernen, und drücken Sie die Schaltfläche erneut.
printer-removed = entfernter Drucker
printer-result = Ergebnis
printer-secret-entered = schon eingegeben; zum Ersetzen tippen
printer-secret-stored = gespeichert; zum Ersetzen tippen
printer-select = Auswählen
printer-selected = ausgewählt
printer-settings = Einstellungen von { $name }
printer-show-files = Dateien anzeigen
printer-tag-count = { $n ->
    [one] bei { $n } Drucker
   *[other] bei { $n } Druckern
}
printer-tags = Tags
printer-tags-add = Tags hinzufügen (mit Komma getrennt)
printer-tags-changed = { $n ->
    [one] { $n } Drucker wurde geändert.
   *[other] { $n } Drucker wurden geändert.
}
printer-tags-list = Tags (mit Komma getrennt)
printer-tags-of = { $n ->
    [one] Tags von { $n } Drucker
   *[other] Tags von { $n } Druckern
}
printer-tags-remove = Tags entfernen
printer-tags-unchanged = Bei { $n } war nichts zu ändern.
printer-test-again = Erneut prüfen
printer-test-connection = Verbindung testen
printer-test-hint = Das Testergebnis erscheint hier. Ihre Eingaben bleiben im Formular.
printer-test-passed = OctoPrint { $version } antwortet und akzeptiert den API-Schlüssel von { $user }.
printer-test-result = Testergebnis
printer-updates = Aktualisierung
printer-updates-live = live
printer-updates-polled = durch Abfragen
printer-upload = Hochladen
printer-upload-file = Datei hier ablegen oder auswählen
printer-upload-select = Für den nächsten Druck auswählen
printer-use-address = { $url } verwenden
printer-version = Version
