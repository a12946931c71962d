printer-about = Angaben
printer-add-printer = Drucker hinzufügen
printer-add-printers-their-addresses = Drucker lassen sich über ihre Adresse hinzufügen oder aus einer Liste importieren.
printer-added = wird hinzugefügt
printer-address = Adresse
printer-address-octoprint = Adresse seines OctoPrint
printer-announcements-mdns-reach-server = Ankündigungen (mDNS) erreichen nur einen Server im selben Netzabschnitt und keinen Container in einem eigenen Netz: dem Container das Netz des Rechners geben. In OctoPrint muss das Plugin Discovery eingeschaltet sein. Sonst die Drucker über ihre Adresse hinzufügen oder aus einer Liste importieren.
printer-another-api-key = Anderer API-Schlüssel
printer-another-file = Weitere Datei
printer-another-list = Andere Liste
printer-another-print-lies-now = Darauf liegt jetzt ein anderer Druck als der angezeigte.
printer-api-key = API-Schlüssel
printer-ask-again-type-key = Noch einmal bitten oder einen Schlüssel eintippen.
printer-ask-octoprint-key = OctoPrint um einen Schlüssel bitten
printer-back = Zurück
printer-back-change-nothing = Zurück, nichts ändern
printer-bed-width-depth-height = Bett: Breite, Tiefe und Höhe in mm
printer-began = Beginn
printer-ca-certificate-pem = CA-Zertifikat (PEM)
printer-camera-address = Kamera-Adresse
printer-change-remove = Ändern oder entfernen
printer-change-tags = Schlagwörter ändern
printer-changes-observed = Änderungen kommen
printer-check-again = Noch einmal prüfen
printer-color = Farbe des Materials
printer-commands = Befehle
printer-delete = Löschen
printer-delete-2 = { $name } löschen
printer-electrical-circuit = Stromkreis
printer-event-socket = über seinen Ereigniskanal
printer-event-socket-closed-does = Der Ereigniskanal wurde geschlossen oder antwortet nicht.
printer-event-socket-refused-does = Der Ereigniskanal wird abgelehnt. Blockiert ein Proxy Websockets?
printer-file = Datei
printer-file-2 = Die Datei
printer-files = Dateien
printer-files-can-listed-when = Die Dateien sind zu sehen, sobald der Drucker antwortet.
printer-files-could-not-listed = Die Dateien konnten nicht aufgelistet werden.
printer-first-line-names-columns = Die erste Zeile nennt die Spalten: { $columns }. Nur name und url müssen da sein. Höchstens 1.000 Zeilen und 1 MB.
printer-given-none-yet = Er hat noch keine bekommen.
printer-had-tags-so-already = { $n ->
    [one] { $n } hatte seine Schlagwörter schon so.
   *[other] { $n } hatten ihre Schlagwörter schon so.
}
printer-headers-one-per-line = Header, einer je Zeile
printer-i-am-sure = Ja, ich bin sicher
printer-import-list = eine Liste importieren
printer-import-printer = { $n } Drucker importieren
printer-import-printers = Drucker importieren
printer-kept-before-type-here = von vorhin aufbewahrt; zum Ersetzen hier tippen
printer-key = mit Schlüssel
printer-key-denied = OctoPrint hat keinen Schlüssel gegeben: Die Anfrage wurde dort abgelehnt, oder OctoPrint wurde neu gestartet.
printer-left-out = wird ausgelassen
printer-line = Zeile
printer-list-spreadsheet-saved-csv = Eine Liste aus einer Tabelle, als CSV gespeichert: ein Drucker je Zeile. Was aus jeder Zeile würde, wird zuerst gezeigt.
printer-login-events-fails = Die Anmeldung für Ereignisse scheitert.
printer-look = Ansehen
printer-look-again = Noch einmal suchen
printer-look-network = im Netz suchen
printer-looking-octoprints-announce-themselves = OctoPrints, die sich melden, werden gesucht. Das dauert drei Sekunden.
printer-material = Material
printer-material-2 = Eingelegtes Material
printer-model = Modell
printer-network = Im Netz
printer-network-server-must-not = In einem Netz, mit dem dieser Server sich nicht verbinden darf
printer-no-events = Keine Ereignisse
printer-no-octoprint-announced-itself = Innerhalb von drei Sekunden hat sich kein OctoPrint gemeldet.
printer-nobody-allowed-octoprint-within = In OctoPrint hat es niemand innerhalb von fünf Minuten erlaubt.
printer-none-seen-yet = Noch keiner wurde gesehen.
printer-not-known = nicht bekannt
printer-not-use = nicht in Betrieb
printer-not-watched = Nicht beobachtet
printer-notes = Notizen
printer-nothing-done-tick-you = Es wurde nichts getan. Vor dem Entfernen von { $name } bitte die Bestätigung anhaken.
printer-nozzle = Düse
printer-nozzle-mm = Düse in mm
printer-octoprint = OctoPrint
printer-octoprint-answers-knows-key = OctoPrint { $version } antwortet und kennt den Schlüssel als { $user }.
printer-octoprint-asked-key = OctoPrint wurde um einen Schlüssel gebeten.
printer-octoprint-behind-web-server = Für ein OctoPrint hinter einem Webserver mit Anmeldung, mit eigenem Zertifikat oder mit einer Kamera an anderer Adresse.
printer-octoprint-does-not-confirm = OctoPrint bestätigt die Anmeldung für Ereignisse nicht. Enthält der Benutzername einen Doppelpunkt?
printer-octoprint-gave-key-kept = OctoPrint hat einen Schlüssel gegeben. Er bleibt in diesem Formular und wird beim Absenden gespeichert; niemand muss ihn sehen.
printer-octoprint-no-files = OctoPrint hat keine Dateien.
printer-octoprint-refuses-login-events = OctoPrint lehnt die Anmeldung für Ereignisse ab.
printer-older-commands = Ältere Befehle
printer-older-prints = Ältere Drucke
printer-one-there-stays = der vorhandene bleibt
printer-open-page-log-allow = Seine Seite öffnen, anmelden und Printyard dort erlauben. Es wartet fünf Minuten.
printer-optional = optional
printer-optional-counts-who-heats = freiwillig: zählt, wer gleichzeitig heizt
printer-password-web-server = Passwort für den Webserver
printer-plate-not-marked-clear = Die Platte wurde nicht als frei gemeldet
printer-polling = durch regelmäßiges Abfragen
printer-power-group = Stromkreis
printer-printer-changed = { $n ->
    [one] { $n } Drucker wurde geändert.
   *[other] { $n } Drucker wurden geändert.
}
printer-printer-imported = { $n ->
    [one] { $n } Drucker wurde importiert.
   *[other] { $n } Drucker wurden importiert.
}
printer-printer-polled = Der Drucker wird regelmäßig abgefragt.
printer-printer-printing = Der Drucker druckt gerade darauf.
printer-printer-will-added = { $n ->
    [one] { $n } Drucker wird hinzugefügt
   *[other] { $n } Drucker werden hinzugefügt
}
printer-prints = Drucke
printer-proxy-tls-camera = Proxy, TLS, Kamera
printer-proxy-tls-camera-settings = mit Proxy-, TLS- oder Kamera-Einstellungen
printer-put-all-them-commas = Allen hinzufügen, mit Kommas dazwischen
printer-reading-list-files = Die Dateiliste wird gelesen
printer-registered = Bereits hinzugefügt
printer-registered-2 = Bereits hinzugefügt als { $name }
printer-registry-changed-during-import = Es wurde nichts importiert: Die Drucker haben sich seit dieser Vorschau geändert. Bitte noch einmal prüfen.
printer-remove = Entfernen
printer-remove-2 = { $name } entfernen
printer-remove-camera-address = Kamera-Adresse entfernen
printer-result = Ergebnis
printer-row-cannot-imported = { $n ->
    [one] { $n } Zeile lässt sich nicht importieren
   *[other] { $n } Zeilen lassen sich nicht importieren
}
printer-rows-pasted = Oder ihre Zeilen, eingefügt
printer-select = Auswählen
printer-select-next-start-prints = Auswählen: das nächste Starten druckt sie
printer-selected = ausgewählt
printer-server-cannot-listen-network = Dieser Server kann nicht ins Netz hören: { $why }.
printer-server-set-not-look = Dieser Server ist so eingestellt, dass er nicht im Netz sucht (PRINTYARD_DISCOVERY). Drucker lassen sich über ihre Adresse hinzufügen oder aus einer Liste importieren.
printer-settings = Einstellungen von { $name }
printer-several-once = Mehrere auf einmal:
printer-show-files = Dateien anzeigen
printer-show-what-found-where = Ergebnis zeigen, falls diese Seite stehen bleibt
printer-stored-type-here-replace = gespeichert; zum Ersetzen hier tippen
printer-tags = Schlagwörter
printer-tags-commas-between = Schlagwörter, mit Kommas dazwischen
printer-tags-printer = { $n ->
    [one] Schlagwörter von { $n } Drucker
   *[other] Schlagwörter von { $n } Druckern
}
printer-take-off = Wegnehmen
printer-test-connection = Verbindung testen
printer-test-connection-2 = Der Test der Verbindung
printer-them = bei { $n } davon
printer-there-already = ist schon da
printer-there-already-2 = { $n ->
    [one] { $n } ist schon da
   *[other] { $n } sind schon da
}
printer-took = Dauer
printer-upload = Hochladen
printer-use = { $url } verwenden
printer-use-watched-takes-commands = In Betrieb: wird beobachtet und nimmt Befehle an
printer-user-web-server = Benutzer für den Webserver
printer-version = Version
printer-what-asked-octoprint-not = Die Bitte an OctoPrint ist nicht mehr bekannt.
printer-what-becomes = Was daraus wird
printer-what-test-finds-shows = Was der Test findet, steht dann hier; das Formular bleibt, wie es ist.
printer-what-test-found = Ergebnis des Tests
printer-what-waits-skipped-what = Was auf ihn wartet, wird übersprungen, und was ihm gesendet wurde, endet als unbekannt. Seine Drucke und Befehle bleiben in der Geschichte. Der Drucker selbst macht weiter mit dem, was er tut.
printer-without-key = ohne Schlüssel
