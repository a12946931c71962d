# Aufträge: die Warteschlange, ein Auftrag, und warum Aufträge warten.
field-due_at = Fälligkeit
field-file_id = Datei der Bibliothek
field-files = Datei der Bibliothek
field-good = Gut
field-models = Druckermodelle
field-number = Teilenummer
field-part = Teilenummer
field-parts_per_plate = Teile pro Platte
field-priority = Priorität
field-quantity = Menge
field-revision = Revision
field-scrap = Ausschuss
field-tags_all = Geforderte Tags
field-tags_any = Einer dieser Tags
field-title = Titel
order-adjust = Zählung korrigieren
order-adjust-hint = Fügen Sie von Hand gezählte Teile hinzu, oder ziehen Sie Teile mit einer negativen Zahl ab.
order-all-good = Alle gut
order-attempt = Versuch { $n }
order-cancel = Auftrag abbrechen
order-change = Auftrag ändern
order-copies = Exemplare
order-copy-assigned = Zugewiesen
order-copy-finished = Fertig
order-copy-lost = Verloren
order-copy-released = Nicht gestartet
order-copy-starting = Startet
order-copy-uploading = Datei wird gesendet
order-copy-verdict = { $good } gut, { $scrap } Ausschuss
order-correct = Korrigieren
order-count-good = gut
order-count-printing = im Druck
order-count-queued = wartend
order-count-scrap = Ausschuss
order-count-unjudged = zu beurteilen
order-create = Auftrag anlegen
order-details = Einzelheiten
order-due = fällig
order-due-in-zone = Fällig ({ $zone })
order-earlier = Früher: Priorität { $n }
order-end = Auftrag beenden
order-end-hint = Ein vorzeitiger Abschluss behält die guten Teile und beendet den Auftrag mit weniger als bestellt. Beides lässt sich nicht rückgängig machen.
order-ended = beendet
order-feasible = { $n ->
    [one] { $n } Drucker kann diesen Auftrag drucken.
   *[other] { $n } Drucker können diesen Auftrag drucken.
}
order-first-page = Erste Seite
order-good-of = { $good } von { $ordered } gut
order-hold = Anhalten
order-judge = Beurteilen
order-judgement = Beurteilung
order-judgement-auto = Fertige Teile sind gut
order-judgement-manual = Jedes Exemplar wird von Hand beurteilt
order-judgement-of-part = Wie beim Teil festgelegt, sonst sind fertige Teile gut
order-later = Später: Priorität { $n }
order-mark-lost = Verloren geben
order-models-of-file = wie in der Datei angegeben
order-more-copies = Das sind die neuesten 100 Exemplare. Die API liefert alle.
order-move-hint = Ziehen Sie Aufträge am Griff oder nutzen Sie die Pfeile, um ihre Priorität zu ändern. Der Planer berücksichtigt auch Termine und Druckzeiten.
order-moved-stale = Der Auftrag wurde inzwischen geändert und deshalb nicht verschoben. Die Liste unten ist aktuell.
order-new = Neuer Auftrag
order-next-page = Nächste Seite
order-no-copies = Noch keine Exemplare. Sobald ein Drucker frei ist, wird ihm eines zugewiesen.
order-no-file = Keine Datei
order-no-match = Keine passenden Aufträge.
order-none-yet = Noch keine Aufträge. Ein Auftrag ist eine Menge eines Teils oder einer Datei der Bibliothek. Der Planer druckt ihn auf den Druckern, die dafür freigegeben sind.
order-not-all-good = Nicht alle gut
order-not-feasible = Kein Drucker kann diesen Auftrag drucken.
order-or = oder
order-parts = { $n ->
    [one] { $n } Teil
   *[other] { $n } Teile
}
order-parts-per-plate = { $n ->
    [one] { $n } Teil pro Platte
   *[other] { $n } Teile pro Platte
}
order-priority-range = Priorität (0–100)
order-priority-short = Priorität { $n }
order-production-stopped = Die Produktion ist angehalten.
order-production-stopped-effect = Es starten keine neuen Exemplare. Laufende Drucke gehen weiter.
order-queue = Aufträge
order-release = Freigeben
order-resume-production = Produktion fortsetzen
order-running-cancel = Abbrechen
order-running-copies = Laufende Exemplare
order-running-finish = Zu Ende drucken
order-short-close = Vorzeitig abschließen
order-started = gestartet
order-state = Status
order-state-cancelled = Abgebrochen
order-state-completed = Abgeschlossen
order-state-on-hold = Angehalten
order-state-queued = Wartet
order-state-running = Läuft
order-state-short-closed = Vorzeitig abgeschlossen
order-stop-now = Jetzt anhalten
order-stop-production = Produktion anhalten
order-stopped-by = Angehalten von { $name }
order-title-of-part = wie beim Teil
order-waits-attempts-used-up = Angehalten: Ein Exemplar ist so oft fehlgeschlagen wie erlaubt. Suchen Sie die Ursache, und geben Sie den Auftrag dann frei.
order-waits-attention = { $n ->
    [one] { $n } Drucker muss zuerst geprüft werden.
   *[other] { $n } Drucker müssen zuerst geprüft werden.
}
order-waits-bed-size = { $n ->
    [one] Das Druckbett von { $n } Drucker ist zu klein.
   *[other] Die Druckbetten von { $n } Druckern sind zu klein.
}
order-waits-behind-others = { $n ->
    [one] { $n } Drucker übernimmt einen dringenderen Auftrag.
   *[other] { $n } Drucker übernehmen dringendere Aufträge.
}
order-waits-busy = { $n ->
    [one] { $n } Drucker ist beschäftigt.
   *[other] { $n } Drucker sind beschäftigt.
}
order-waits-color = { $n ->
    [one] { $n } Drucker hat die Farbe { $value } nicht geladen.
   *[other] { $n } Drucker haben die Farbe { $value } nicht geladen.
}
order-waits-disabled = { $n ->
    [one] { $n } Drucker ist deaktiviert.
   *[other] { $n } Drucker sind deaktiviert.
}
order-waits-draining = { $n ->
    [one] { $n } Drucker läuft aus.
   *[other] { $n } Drucker laufen aus.
}
order-waits-failed-here = { $n ->
    [one] Auf { $n } Drucker ist dieses Exemplar fehlgeschlagen, deshalb druckt es ein anderer.
   *[other] Auf { $n } Druckern ist dieses Exemplar fehlgeschlagen, deshalb druckt es ein anderer.
}
order-waits-file-missing = Die Bibliothek enthält die Datei nicht mehr. Laden Sie sie erneut hoch.
order-waits-material = { $n ->
    [one] { $n } Drucker hat { $value } nicht geladen.
   *[other] { $n } Drucker haben { $value } nicht geladen.
}
order-waits-max-printers = { $n ->
    [one] Der Auftrag nutzt so viele Drucker, wie er darf. { $n } Drucker ist frei.
   *[other] Der Auftrag nutzt so viele Drucker, wie er darf. { $n } Drucker sind frei.
}
order-waits-model = { $n ->
    [one] { $n } Drucker ist ein anderes Modell als { $value }.
   *[other] { $n } Drucker sind andere Modelle als { $value }.
}
order-waits-no-orders = Kein Auftrag wartet.
order-waits-no-printer-can = Kein aktivierter und für automatische Starts freigegebener Drucker passt.
order-waits-not-before = Der Auftrag darf noch nicht beginnen.
order-waits-not-opted-in = { $n ->
    [one] { $n } Drucker ist nicht für automatische Starts freigegeben.
   *[other] { $n } Drucker sind nicht für automatische Starts freigegeben.
}
order-waits-nozzle = { $n ->
    [one] { $n } Drucker hat eine andere Düse als { $value } mm.
   *[other] { $n } Drucker haben eine andere Düse als { $value } mm.
}
order-waits-offline = { $n ->
    [one] { $n } Drucker antwortet nicht oder ist nicht verbunden.
   *[other] { $n } Drucker antworten nicht oder sind nicht verbunden.
}
order-waits-on-hold = Der Auftrag ist angehalten.
order-waits-out-of-service = { $n ->
    [one] { $n } Drucker ist außer Betrieb.
   *[other] { $n } Drucker sind außer Betrieb.
}
order-waits-plate-never-cleared = { $n ->
    [one] { $n } Druckplatte wurde seit der Freigabe ihres Druckers nicht frei gemeldet.
   *[other] { $n } Druckplatten wurden seit der Freigabe ihrer Drucker nicht frei gemeldet.
}
order-waits-plate-not-clear = { $n ->
    [one] { $n } Druckplatte muss zuerst geräumt werden.
   *[other] { $n } Druckplatten müssen zuerst geräumt werden.
}
order-waits-printer-ids = { $n ->
    [one] { $n } anderer Drucker ist im Auftrag nicht genannt.
   *[other] { $n } andere Drucker sind im Auftrag nicht genannt.
}
order-waits-production-stopped = Die Produktion ist angehalten.
order-waits-start-unknown = { $n ->
    [one] Ob { $n } Drucker seinen Druck gestartet hat, ist unbekannt. Prüfen Sie ihn.
   *[other] Ob { $n } Drucker ihre Drucke gestartet haben, ist unbekannt. Prüfen Sie sie.
}
order-waits-starting = { $n ->
    [one] { $n } Drucker startet ein Exemplar.
   *[other] { $n } Drucker starten ein Exemplar.
}
order-waits-surplus-limit = { $n ->
    [one] Eine Platte von { $n } Drucker ergäbe mehr Teile, als der Auftrag erlaubt.
   *[other] Eine Platte von { $n } Druckern ergäbe mehr Teile, als der Auftrag erlaubt.
}
order-waits-tags = { $n ->
    [one] { $n } Drucker hat die geforderten Tags ({ $value }) nicht.
   *[other] { $n } Drucker haben die geforderten Tags ({ $value }) nicht.
}
order-waits-transferring = { $n ->
    [one] { $n } Drucker empfängt eine Datei.
   *[other] { $n } Drucker empfangen eine Datei.
}
order-waits-until = Bis
order-waits-uploading = { $n ->
    [one] { $n } Drucker erhält die Datei eines Exemplars.
   *[other] { $n } Drucker erhalten die Datei eines Exemplars.
}
order-was-due = war fällig
order-what = Was gedruckt wird
order-why-due = Verwendeter Termin
order-why-due-assumed = 14 Tage nach Anlage des Auftrags
order-why-formula = Die Punktzahl steigt mit dem Gewicht, mit dem Anteil des Druckens an der Zeit, bis die Platte wieder frei ist, und mit schwindender Zeitreserve.
order-why-here = Warum auf diesem Drucker
order-why-hidden = ein anderer Auftrag
order-why-highest-score = Von den Aufträgen, die dieser Drucker annehmen konnte, hatte dieser die höchste Punktzahl.
order-why-it-waits = Warum er wartet
order-why-mean = Mittlere Druckzeit
order-why-mean-used = { $time } (Mittelwert, weil die Datei keine Zeit nennt)
order-why-next = Nächstbeste Aufträge
order-why-no-slack = keine
order-why-not-others = Warum die anderen nicht können
part-add-file = Datei hinzufügen
part-api = Teile über die API anlegen und ändern
part-change = { $number } ändern
part-changed-meantime = Das Teil wurde inzwischen geändert, deshalb wurde nichts gespeichert. Ihre Eingaben stehen noch hier.
part-create = Teil anlegen
part-edit = Ändern
part-file-missing = Nicht mehr in der Bibliothek
part-file-n = Datei { $n }
part-files = { $n ->
    [one] { $n } Datei
   *[other] { $n } Dateien
}
part-files-hint = Ein Drucker bekommt die erste Datei für sein Modell. Eine Zeile ohne Datei entfällt.
part-intro = Ein Teil ist eine Artikelnummer mit einer Datei für jedes Druckermodell.
part-new = Neues Teil
part-no-match = Keine passenden Teile.
part-none-yet = Noch keine Teile.
part-number-or-title = Nummer oder Titel
part-printers = Nur diese Drucker, ein Name pro Zeile
part-remove = Teil entfernen
part-remove-confirm = Dieses Teil entfernen
part-remove-effect = Aufträge behalten die Dateien, mit denen sie angelegt wurden. Das lässt sich nicht rückgängig machen.
part-remove-unconfirmed = Setzen Sie das Häkchen, um { $number } zu entfernen.
part-requirements = Anforderungen
part-show-stored = Gespeichertes Teil anzeigen
part-title = Teile
part-updated = Geändert
rule-local-time = muss ein Datum mit Uhrzeit sein, etwa 2026-12-03T16:00
task-title = Zu tun
task-none = Nichts zu tun.
task-attention = Drucker prüfen
task-clear-plate = Platte leeren
task-load-material = Material einlegen
task-judge = Teile beurteilen
task-failed-twice = Zwei Exemplare nacheinander sind fehlgeschlagen. Der Planer startet hier nichts, bis Sie den Drucker geprüft haben.
task-start-unknown = Es ist nicht bekannt, ob ein Start gewirkt hat. Sehen Sie am Drucker nach. Wenn er das Exemplar nicht druckt, melden Sie es verloren.
task-upload-failed = Eine Datei konnte nicht an den Drucker gesendet werden.
task-material = Der Auftrag wartet auf { $material }.
task-checked = Geprüft
task-judge-now = Beurteilen
task-show-order = Auftrag anzeigen
order-why-only-order = Dieser Drucker konnte keinen anderen Auftrag annehmen.
order-why-plate-time = Platte wieder frei nach
order-why-print-time = Druckzeit
order-why-score = Punktzahl
order-why-slack = Zeitreserve
order-why-weight = Gewicht der Priorität
