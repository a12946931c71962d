word-access-denied = Zugriff verweigert
word-account = Konto
word-action = Aktion
word-add = Hinzufügen
word-add-printer = Drucker hinzufügen
word-admin = Admin
word-already-connected = bereits verbunden
word-already-disconnected = bereits getrennt
word-already-paused = bereits pausiert
word-already-printing = bereits im Druck
word-already-toggled = unverändert
word-audit-log = Protokoll
word-batches = Sammelbefehle
word-below-one-minute = < 1 min
word-by = Von
word-cancel-count = { $n ->
    [one] { $n } Druck abbrechen
   *[other] { $n } Drucke abbrechen
}
word-cancel-in-progress = Abbrechen läuft
word-cancel-print = Druck abbrechen
word-cancelled = Abgebrochen
word-cancelling = Wird abgebrochen …
word-command = Befehl
word-connect = Verbinden
word-connect-count = { $n } Drucker verbinden
word-connect-in-progress = Verbinden läuft
word-connected = Verbunden
word-connecting = Verbindet …
word-count-busy = mit einem anderen Befehl beschäftigt
word-count-disabled = deaktiviert
word-count-failed = fehlgeschlagen
word-count-file-does-not-fit = zu denen die Datei nicht passt
word-count-file-missing = ohne die Datei
word-count-forbidden = außerhalb Ihrer Rechte
word-count-invalid-reply = ohne gültige Antwort
word-count-job-active = mit aktivem Druck
word-count-not-operational = nicht verbunden oder mit Fehler
word-count-not-printing = nicht im Druck
word-count-other-job = mit einem anderen Druck
word-count-other-state = inzwischen in einem anderen Zustand
word-count-overtaken = inzwischen abgebrochen
word-count-paused-at-printer = am Drucker pausiert
word-count-plate-occupied = mit belegter Druckplatte
word-count-removed = entfernt
word-count-unknown-state = in unbekanntem Zustand
word-count-without-file = ohne ausgewählte Datei
word-count-without-print = ohne Druck
word-days-hours = { $d } T { $h } h
word-disabled = Deaktiviert
word-disconnect = Trennen
word-disconnect-count = { $n } Drucker trennen
word-disconnect-in-progress = Trennen läuft
word-disconnected = Getrennt
word-doing-cancel = { $n ->
    [one] { $n } wird abgebrochen
   *[other] { $n } werden abgebrochen
}
word-doing-connect = { $n ->
    [one] { $n } wird verbunden
   *[other] { $n } werden verbunden
}
word-doing-disconnect = { $n ->
    [one] { $n } wird getrennt
   *[other] { $n } werden getrennt
}
word-doing-pause = { $n ->
    [one] { $n } wird pausiert
   *[other] { $n } werden pausiert
}
word-doing-restart = { $n ->
    [one] { $n } wird neu gestartet
   *[other] { $n } werden neu gestartet
}
word-doing-resume = { $n ->
    [one] { $n } wird fortgesetzt
   *[other] { $n } werden fortgesetzt
}
word-doing-start = { $n ->
    [one] { $n } wird gestartet
   *[other] { $n } werden gestartet
}
word-doing-toggle = { $n ->
    [one] { $n } wird pausiert oder fortgesetzt
   *[other] { $n } werden pausiert oder fortgesetzt
}
word-done = Fertig
word-emergency-stop = Not-Halt
word-emergency-stop-count = Not-Halt für { $n } Drucker
word-emergency-stop-in-progress = Not-Halt läuft
word-enter-does-nothing = Eingabe tut nichts
word-error = Fehler
word-failed = Fehlgeschlagen
word-farm = Farm
word-finishing = Schließt ab …
word-from-date = Von
word-hours-minutes = { $h } h { $m } min
word-log-out = Abmelden
word-main-menu = Hauptmenü
word-manager = Verwalter
word-mark-clear = Platte frei melden
word-minutes = { $m } min
word-more = und { $n } weitere
word-name = Name
word-newest = Neueste
word-no-answer = Keine Antwort
word-no-older-entries = Keine älteren Einträge.
word-not-connected = Nicht verbunden
word-nothing-done = Nichts ausgeführt
word-operator = Bediener
word-outcome = Ergebnis
word-pause = Pausieren
word-pause-count = { $n } Drucker pausieren
word-pause-in-progress = Pausieren läuft
word-paused = Pausiert
word-pausing = Wird pausiert …
word-printer = Drucker
word-printer-count = { $n } Drucker
word-printing = Druckt
word-ready = Bereit
word-restart = Neu starten
word-restart-count = { $n ->
    [one] { $n } Druck neu starten
   *[other] { $n } Drucke neu starten
}
word-restart-in-progress = Neustart läuft
word-restarted = Neu gestartet
word-resume = Fortsetzen
word-resume-count = { $n } Drucker fortsetzen
word-resume-in-progress = Fortsetzen läuft
word-resumed = Fortgesetzt
word-resuming = Wird fortgesetzt …
word-save = Speichern
word-skip-to-content = Zum Inhalt springen
word-start = Starten
word-start-count = { $n } Drucker starten
word-start-in-progress = Starten läuft
word-started = Gestartet
word-starting = Startet …
word-stopped = Gestoppt
word-time = Zeit
word-to-date = Bis
word-to-farm = Zur Farm
word-toggle = Umschalten
word-toggle-count = { $n } Drucker pausieren oder fortsetzen
word-toggle-in-progress = Umschalten läuft
word-toggled = Umgeschaltet
word-transferring = Überträgt Datei auf SD …
word-unknown = Unbekannt
word-users = Benutzer
word-viewer = Betrachter
word-out-of-service = Außer Betrieb
word-draining = Läuft aus
word-count-out-of-service = außer Betrieb
word-doing-emergency-stop = { $n } anhalten
word-count-stopped = inzwischen angehalten
