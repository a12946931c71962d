wall-all-running = All running
wall-attention = { $n ->
    [one] needs attention
   *[other] need attention
}
wall-finishing-next = Finishing next
wall-more = And { $n } more
wall-no-printers = No printers to show
wall-screen = Wall screen
