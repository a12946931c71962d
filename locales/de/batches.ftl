batch-accepted = Angenommen, wird geprüft
batch-all-done = Alle { $n } { $done }
batch-ask-manager = Bitten Sie einen Verwalter, einen neuen Schlüssel anzufordern.
batch-back = Zurück
batch-by = von { $name }
batch-check-printer = Prüfen Sie den Drucker.
batch-choose-file = { $n ->
    [one] Datei wählen
   *[other] Datei für diese { $n } wählen
}
batch-clear-plates = { $n ->
    [one] { $n } Druckplatte frei melden
   *[other] { $n } Druckplatten frei melden
}
batch-confirm-cancel = Ein abgebrochener Druck lässt sich nicht fortsetzen.
batch-confirm-emergency-stop = M112 stoppt Motoren und Heizungen sofort. Drucke lassen sich nicht fortsetzen. Jeder Drucker muss danach neu verbunden werden.
batch-confirm-restart = Jeder Druck wird abgebrochen und von vorn gestartet. Sein Fortschritt geht verloren.
batch-confirm-resume = Einige dieser Drucke wurden am Drucker pausiert. Vielleicht fehlt Filament, oder es arbeitet gerade jemand am Drucker.
batch-confirm-start = Auf einigen Druckplatten liegt vielleicht noch ein Druck.
batch-count-accepted = angenommen, wird geprüft
batch-count-expired = abgelaufen
batch-count-left = unverändert gelassen
batch-count-queued = in Warteschlange
batch-count-rejected = abgelehnt
batch-count-sent = gesendet
batch-count-skipped = nicht gesendet
batch-count-unauthorized = mit verweigertem Zugriff
batch-count-uncertain = ungewiss
batch-count-unconfirmed = Wirkung nicht gesehen
batch-count-unknown = gesendet, keine Antwort
batch-count-unreachable = ohne Antwort
batch-count-working = in Arbeit
batch-due = fällig
batch-duration = in { $time }
batch-expired = Abgelaufen
batch-expired-why = Der Befehl ist abgelaufen, bevor er gesendet werden konnte. Versuchen Sie es erneut, wenn Sie ihn noch brauchen.
batch-finished = Abgeschlossen
batch-in-progress = Läuft
batch-include-paused-at-printer = { $n ->
    [one] Auch { $n } am Drucker pausierten Druck einbeziehen (geprüft)
   *[other] Auch { $n } am Drucker pausierte Drucke einbeziehen (geprüft)
}
batch-later-done = Spätere Prüfung: Der Befehl hat gewirkt.
batch-later-not-done = Spätere Prüfung: Der Befehl hat nicht gewirkt.
batch-later-unknown = Spätere Prüfung: Die Wirkung ist weiterhin unbekannt.
batch-left-alone = Unverändert gelassen
batch-left-count = { $n ->
    [one] { $n } bleibt unverändert
   *[other] { $n } bleiben unverändert
}
batch-list-shortened = Diese Liste ist gekürzt. Die Zahlen oben zählen alle Drucker des Sammelbefehls.
batch-no-match = Keine passenden Sammelbefehle.
batch-none-done = Keiner { $done }
batch-none-yet = Noch keine Sammelbefehle. Wählen Sie auf der Farm-Seite Drucker aus, und klicken Sie auf einen Befehl. Hier steht dann das Ergebnis jedes Druckers.
batch-not-printing-checked = Geprüft: Die Drucker drucken nicht
batch-partly-done = { $n } von { $total } { $done }
batch-paused-at-printer = { $n ->
    [one] { $n } Druck wurde am Drucker pausiert
   *[other] { $n } Drucke wurden am Drucker pausiert
}
batch-plates-all-checked = { $n ->
    [one] Geprüft: Die Druckplatte ist frei
   *[other] Geprüft: Alle { $n } Druckplatten sind frei
}
batch-plates-check-missing = Es wurde nichts gesendet. Prüfen Sie zuerst die Druckplatten, und setzen Sie das Häkchen.
batch-plates-checked = { $n ->
    [one] Geprüft: Die Druckplatte ist frei. Sonst wird dieser Drucker ausgelassen.
   *[other] Geprüft: Alle { $n } Druckplatten sind frei. Sonst werden diese Drucker ausgelassen.
}
batch-plates-kept = { $n ->
    [one] { $n } Druckplatte wurde nicht frei gemeldet: Auf ihr liegt ein anderer Druck.
   *[other] { $n } Druckplatten wurden nicht frei gemeldet: Auf ihnen liegen andere Drucke.
}
batch-plates-not-clear = { $n ->
    [one] { $n } Druckplatte ist nicht frei gemeldet
   *[other] { $n } Druckplatten sind nicht frei gemeldet
}
batch-problems = Probleme
batch-queued = Wartet
batch-reason = Begründung (steht im Protokoll)
batch-reference = Referenz
batch-rejected = Abgelehnt
batch-rejected-why = Der Drucker hat den Befehl abgelehnt.
batch-reload-hint = Laden Sie die Seite neu, um den Fortschritt zu sehen.
batch-request-key = Schlüssel anfordern
batch-retry-all = { $n } erneut senden
batch-retry-of = Wiederholung eines früheren Sammelbefehls
batch-retry-these = { $n ->
    [one] Erneut senden
   *[other] Diese { $n } erneut senden
}
batch-scheduled = Geplant
batch-selected-all = alle { $n } Drucker
batch-selected-tags = Tag { $tags } ({ $printers })
batch-selection = Auswahl
batch-sending-file = Datei wird gesendet: { $percent } %
batch-sent = Gesendet
batch-skipped = Nicht gesendet
batch-skipped-why = Der Sammelbefehl wurde angehalten, bevor dieser Befehl gesendet wurde.
batch-still-running-checked = Geprüft: Die Drucker laufen noch
batch-state = Status
batch-stop = Senden anhalten
batch-stopped = Angehalten
batch-stopping = Angehalten, gesendete Befehle laufen noch
batch-transfer-progress = Übertragung der Datei
batch-transfers = { $n } von { $total } Druckern haben die Datei · { $sent } von { $size }
batch-type-number = Zur Bestätigung { $number } eingeben
batch-unauthorized-why = OctoPrint hat den API-Schlüssel abgelehnt, oder ein Webserver davor hat den Zugriff verweigert. Prüfen Sie den API-Schlüssel und die Proxy-Einstellungen des Druckers.
batch-unconfirmed = Angenommen, Wirkung nicht gesehen
batch-unknown = Gesendet, keine Antwort
batch-unknown-printer = unbekannter Drucker
batch-unreachable-why = Der Drucker war nicht erreichbar, deshalb wurde nichts gesendet. Prüfen Sie, ob er eingeschaltet ist, und versuchen Sie es erneut.
batch-waiting-for-file = wartet auf die Datei
batch-wrong-number = Das ist nicht { $number }. Es wurde nichts gesendet.
