wall-all-finished = Alle fertig
wall-all-running = Alles läuft
wall-broken = Gestört
wall-finishing-next = Als Nächstes fertig
wall-more = { $n ->
    [one] Und { $n } weiterer
   *[other] Und { $n } weitere
}
wall-next-free = Nächster frei
wall-no-printers = Keine Drucker vorhanden
wall-plates = Belegte Platten
wall-screen = Wandbildschirm
wall-state-count = Drucker nach Zustand
wall-to-do = Zu tun
