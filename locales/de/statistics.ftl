statistics-bar-is-day = Jeder Balken zeigt einen Tag.
statistics-bar-is-days = Jeder Balken zeigt { $n } Tage.
statistics-bar-title = { $when }: { $done } fertig, { $failed } fehlgeschlagen, { $cancelled } abgebrochen, { $unknown } Ende unbekannt
statistics-by-printer = Nach Drucker, meistgenutzte zuerst
statistics-by-reason = Drucke ohne Erfolg, nach Grund
statistics-by-tag = Nach Tag
statistics-change = { $change } gegenüber { $n ->
    [one] dem Tag
   *[other] den { $n } Tagen
} davor
statistics-counting = Drucke werden noch gezählt, daher sind die Zahlen vorläufig. Laden Sie die Seite später neu.
statistics-csv-not-ready = Datei noch nicht verfügbar
statistics-csv-not-ready-text = Drucke werden noch gezählt, daher wären die Zahlen der Datei vorläufig. Versuchen Sie es später erneut.
statistics-day = Tag
statistics-days = { $n ->
    [one] { $n } Tag
   *[other] { $n } Tage
}
statistics-download-csv = Tageswerte als CSV herunterladen
statistics-failures-by-printer = Drucke ohne Erfolg, nach Drucker
statistics-kept-days = Die Summen bis { $day } enthalten auch Drucke nach Tagen einer früheren Zeitzone: Diese Drucke sind gelöscht und können nicht neu gezählt werden.
statistics-meaning = Erläuterungen
statistics-more-printers = { $n ->
    [one] Die Datei enthält { $n } weiteren Drucker.
   *[other] Die Datei enthält { $n } weitere Drucker.
}
statistics-more-reasons = { $n ->
    [one] { $n } weiterer Grund.
   *[other] { $n } weitere Gründe.
}
statistics-no-match = Keine passenden Drucke.
statistics-no-reason = Kein Grund gemeldet
statistics-nothing-before = nichts { $n ->
    [one] am Tag
   *[other] in den { $n } Tagen
} davor
statistics-open-printer = Drucker öffnen
statistics-period = Zeitraum
statistics-period-reversed = Der Zeitraum endet vor seinem Beginn. Ändern Sie eines der Daten
statistics-period-too-long = Der Zeitraum hat mehr als { $n } Tage. Wählen Sie einen kürzeren
statistics-points = Punkte
statistics-print-list = Liste der Drucke
statistics-print-time = Druckzeit
statistics-print-time-meaning = Die Zeit vom Beginn bis zum Ende eines Drucks, mit Pausen, gezählt an den Tagen, an denen sie verging. Ein laufender Druck zählt bis zum letzten Kontakt mit seinem Drucker. Ein Druck mit unbekanntem Ende hat keine Druckzeit.
statistics-prints-by-result = Drucke nach Ergebnis
statistics-prints-chart = Diagramm der Drucke im Zeitverlauf; die Tabelle darunter enthält die Zahlen
statistics-prints-meaning = Jeder Druck zählt an dem Tag, an dem er endete. Enthält der Zeitraum heute, ist sein letzter Tag noch nicht vorbei.
statistics-reason = Grund
statistics-removed-printers = { $n ->
    [one] { $n } entfernter Drucker
   *[other] { $n } entfernte Drucker
}
statistics-show = Anzeigen
statistics-show-table = Tabelle anzeigen
statistics-step-start = Ab
statistics-success = Erfolg
statistics-success-meaning = Anteil der fertigen Drucke an allen fertigen, fehlgeschlagenen und abgebrochenen Drucken. Drucke mit unbekanntem Ende zählen nicht.
statistics-title = Statistik
statistics-utilisation = Auslastung
statistics-utilisation-chart = Diagramm der Auslastung im Zeitverlauf; die Tabelle darunter enthält die Zahlen
statistics-utilisation-meaning = Anteil der Druckzeit an der Zeit, in der die Drucker hier eingetragen waren, Tag und Nacht, ein- oder ausgeschaltet. Entfernte Drucker haben keine Auslastung.
statistics-whole-farm = Ganze Farm
statistics-zone-days = Tage beginnen um Mitternacht, { $zone }.
