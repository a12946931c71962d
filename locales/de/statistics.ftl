statistics-bars-prints-over-time = Balken der Drucke über die Zeit; die Tabelle darunter sagt dasselbe in Zahlen
statistics-bars-utilisation-over-time = Balken der Auslastung über die Zeit; die Tabelle darunter sagt dasselbe in Zahlen
statistics-beginning-print-end-pauses = Vom Beginn eines Drucks bis zu seinem Ende, Pausen eingeschlossen, an den Tagen, an denen diese Zeit verging; bei einem laufenden Druck, bis sein Drucker zuletzt gesehen wurde. Von einem Druck, dessen Ende niemand gesehen hat, ist keine Zeit bekannt.
statistics-counting = Alte Drucke werden noch gezählt, daher sind die Zahlen zu niedrig. Die Seite später neu laden.
statistics-day = Tag
statistics-day-2 = { $n ->
    [one] { $n } Tag
   *[other] { $n } Tage
}
statistics-days-begin-midnight-utc = Tage beginnen um Mitternacht UTC.
statistics-done-failed-cancelled-not = { $when }: { $done } fertig, { $failed } fehlgeschlagen, { $cancelled } abgebrochen, { $unknown } nicht beobachtet
statistics-each-bar-day = Jeder Balken ist ein Tag.
statistics-each-bar-days = Jeder Balken sind { $n } Tage.
statistics-each-counts-day-ended = Jeder zählt an dem Tag, an dem er endete.
statistics-each-printer-day-csv = Jeder Drucker und Tag als CSV
statistics-from = Ab
statistics-list-prints = Liste der Drucke
statistics-no-print-fits = Kein Druck passt dazu.
statistics-not-yet = Noch nicht
statistics-old-prints-still-being-counted = Alte Drucke werden noch gezählt, und in der Datei würden welche fehlen. In einer Weile noch einmal versuchen.
statistics-page-printer = Seite des Druckers
statistics-printed = Gedruckt
statistics-printer-most-used-first = Nach Drucker, die meistgenutzten zuerst
statistics-printer-used-less-file = { $n ->
    [one] { $n } weniger genutzter Drucker steht in der Datei.
   *[other] { $n } weniger genutzte Drucker stehen in der Datei.
}
statistics-prints-done-among-those = Die fertig gewordenen Drucke unter denen, die fertig wurden, fehlschlugen oder abgebrochen wurden. Die, deren Ende niemand gesehen hat, bleiben außen vor.
statistics-prints-how-they-ended = Drucke nach ihrem Ende
statistics-removed = { $n ->
    [one] { $n } entfernter
   *[other] { $n } entfernte
}
statistics-same-numbers = Dasselbe in Zahlen
statistics-show = Anzeigen
statistics-statistics = Statistik
statistics-success = Erfolg
statistics-tag = Nach Schlagwort
statistics-time = Zeitraum
statistics-time-ends-before-begins = Der Zeitraum endet, bevor er beginnt
statistics-time-printed-among-time = Die gedruckte Zeit an der Zeit, in der die Drucker hier eingetragen waren, Tag und Nacht, ob eingeschaltet oder nicht. Entfernte Drucker haben keine.
statistics-too-many-days = Höchstens { $n } Tage können auf einmal gezeigt werden
statistics-utilisation = Auslastung
statistics-what-counted = Was gezählt wird
statistics-whole-farm = Ganze Farm
