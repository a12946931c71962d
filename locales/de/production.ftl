# Automatische Produktion eines Druckers: was er als Nächstes druckt, und warum er keine Arbeit bekommt.
production-title = Produktion
production-automatic = Automatisch
production-on = Ein
production-off = Aus
production-off-effect = Der Planer startet hier keine Drucke. Ein laufender Druck geht weiter.
production-on-effect = Der Planer startet Drucke von Aufträgen selbst, und zwar auf einer Platte, die seither jemand frei gemeldet hat. Vorher startet nichts.
production-turn-on = Automatische Produktion einschalten
production-turn-on-count = { $n ->
    [one] Automatische Produktion von { $n } Drucker einschalten
   *[other] Automatische Produktion von { $n } Druckern einschalten
}
production-turn-off = Automatische Produktion ausschalten
production-turn-off-count = { $n ->
    [one] Automatische Produktion von { $n } Drucker ausschalten
   *[other] Automatische Produktion von { $n } Druckern ausschalten
}
production-until = bis
production-waits = Wartet
production-now = Jetzt
production-next = Nächster Auftrag
production-does-not-fit = Nimmt nicht
production-ready-at = bereit gegen
production-other-order = Ein Auftrag eines anderen Bereichs
production-parts = { $n ->
    [one] { $n } Teil
   *[other] { $n } Teile
}
outlook-orders-wait = { $n ->
    [one] { $n } Auftrag wartet: { $why }
   *[other] { $n } Aufträge warten: { $why }
}
outlook-next = Nächster: { $file }
outlook-on-hold = angehalten
outlook-attempts-used-up = nach Fehlschlägen angehalten
outlook-not-before = dürfen noch nicht beginnen
outlook-no-printer-can = kein Drucker passt
outlook-surplus-limit = eine Platte ergäbe zu viele Teile
outlook-plate-not-clear = Leeren Sie zuerst die Platte.
outlook-plate-never-cleared = Die Produktion beginnt, sobald Sie die Platte frei gemeldet haben.
outlook-attention = Prüfen Sie zuerst den Drucker.
outlook-start-unknown = Es ist nicht bekannt, ob der letzte Start gewirkt hat.
outlook-behind-others = nach anderen Aufträgen
outlook-max-printers = auf so vielen Druckern wie erlaubt
outlook-failed-here = auf diesem Drucker fehlgeschlagen
outlook-starting = Ein Druck startet.
outlook-uploading = Eine Datei wird an den Drucker gesendet.
outlook-transferring = Eine Datei wird an den Drucker gesendet.
outlook-busy = Der Drucker ist beschäftigt.
outlook-offline = Der Drucker ist nicht bereit.
outlook-file-missing = Datei fehlt
outlook-color = andere Farbe
outlook-material = anderes Material
outlook-nozzle = andere Düse
outlook-bed-size = passt nicht auf das Druckbett
outlook-not-opted-in = Die automatische Produktion ist aus.
outlook-draining = Der Drucker läuft aus.
outlook-out-of-service = Der Drucker ist außer Betrieb.
outlook-disabled = Der Drucker ist deaktiviert.
outlook-model = anderes Druckermodell
outlook-tags = für Drucker mit anderen Tags
outlook-printer-ids = für andere Drucker
