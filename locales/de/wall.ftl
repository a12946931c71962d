wall-finishing-next = Als Nächstes fertig
wall-more = { $n ->
    [one] Und { $n } weiterer
   *[other] Und { $n } weitere
}
wall-needs-you = { $n ->
    [one] braucht Sie
   *[other] brauchen Sie
}
wall-no-printers-look = Keine Drucker zu sehen
wall-nobody-needed = Niemand wird gebraucht
wall-wall-screen = Wandbildschirm
