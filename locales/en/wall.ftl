wall-finishing-next = Finishing next
wall-more = And { $n } more
wall-needs-you = { $n ->
    [one] needs you
   *[other] need you
}
wall-no-printers-look = No printers to look at
wall-nobody-needed = Nobody is needed
wall-wall-screen = Wall screen
