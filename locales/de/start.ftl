# Der Startdialog.
start-at-once = { $n ->
    [one] { $n } Drucker heizt auf.
   *[other] Alle auf einmal: { $n } Drucker heizen gleichzeitig auf.
}
start-button = { $n ->
    [one] { $n } Druck starten
   *[other] { $n } Drucke starten
}
start-changed = Die Datei oder die Auswahl hat sich geändert. Prüfen Sie die Zahlen, und starten Sie erneut.
start-choose-file = Wählen Sie eine Datei.
start-file = Datei
start-heading = Auf { $n ->
    [one] { $n } Drucker
   *[other] { $n } Druckern
} drucken
start-ignore-fit = { $n ->
    [one] Trotzdem auf { $n } Drucker drucken, zu dem die Datei nicht passt
   *[other] Trotzdem auf { $n } Druckern drucken, zu denen die Datei nicht passt
}
start-library-empty = Die Bibliothek hat noch keine Dateien.
start-more-files = Das sind die neuesten Dateien. Andere finden Sie mit der Suche.
start-no-file = keine Datei
start-nothing-selected = Auf keinem dieser Drucker ist eine Datei ausgewählt.
start-print-file = Datei drucken …
start-reason-missing = Geben Sie an, warum die Druckplatten frei sind.
start-selected = Auf jedem Drucker ausgewählte Datei
start-stagger = Starts staffeln
start-stagger-hint = Leer: Alle Drucke starten auf einmal, und ihre Heizungen laufen gleichzeitig.
start-starting = { $n ->
    [one] { $n } Druck startet
   *[other] { $n } Drucke starten
}
start-title = Drucke starten
start-transfers = { $n ->
    [one] { $n } Drucker bekommt vorher die Datei ({ $size })
   *[other] { $n } Drucker bekommen vorher die Datei ({ $size })
}
start-unfit-count = passt zu { $n ->
    [one] { $n } Drucker
   *[other] { $n } Druckern
} nicht
start-update = Aktualisieren
