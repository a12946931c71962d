wall-all-running = Alles läuft
wall-attention = { $n ->
    [one] braucht Eingriff
   *[other] brauchen Eingriff
}
wall-finishing-next = Als Nächstes fertig
wall-more = { $n ->
    [one] Und { $n } weiterer
   *[other] Und { $n } weitere
}
wall-no-printers = Keine Drucker vorhanden
wall-screen = Wandbildschirm
