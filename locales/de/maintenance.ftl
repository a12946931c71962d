# Wartung: Drucker außer Betrieb.
maintenance-title = Wartung
maintenance-state = Zustand
maintenance-reason = Grund
maintenance-until = Voraussichtlich zurück
maintenance-until-unknown = Nicht bekannt
maintenance-in-hours = { $n ->
    [one] in { $n } Stunde
   *[other] in { $n } Stunden
}
maintenance-in-days = { $n ->
    [one] in { $n } Tag
   *[other] in { $n } Tagen
}
maintenance-in-weeks = { $n ->
    [one] in { $n } Woche
   *[other] in { $n } Wochen
}
maintenance-overdue = Überfällig
maintenance-expected-back = zurück voraussichtlich
maintenance-overdue-since = überfällig seit
maintenance-tile-note = { $state }: { $note }
maintenance-in-service = In Betrieb
maintenance-in-service-effect = Der Drucker nimmt alle Befehle an.
maintenance-draining-effect = Der Drucker beendet seinen Druck und bekommt keine neue Arbeit zugeteilt. Von Hand können Sie weiterhin einen Druck starten.
maintenance-out-of-service-effect = Starten, Neustarten und Fortsetzen werden abgelehnt. Ein laufender Druck läuft weiter. Pausieren, Abbrechen und Verbinden sind weiterhin möglich.
maintenance-take-out = Außer Betrieb nehmen
maintenance-take-out-count = { $n ->
    [one] { $n } Drucker außer Betrieb nehmen
   *[other] { $n } Drucker außer Betrieb nehmen
}
maintenance-drain = Auslaufen lassen
maintenance-drain-count = { $n ->
    [one] { $n } Drucker auslaufen lassen
   *[other] { $n } Drucker auslaufen lassen
}
maintenance-return = Wieder in Betrieb nehmen
maintenance-return-count = { $n ->
    [one] { $n } Drucker wieder in Betrieb nehmen
   *[other] { $n } Drucker wieder in Betrieb nehmen
}
maintenance-change = Ändern
maintenance-reason-missing = Geben Sie den Grund an, damit andere wissen, warum der Drucker außer Betrieb ist.
maintenance-reason-wrong = Der Grund { $rules }.
