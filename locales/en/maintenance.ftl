# Maintenance: printers out of service.
maintenance-title = Maintenance
maintenance-state = State
maintenance-reason = Reason
maintenance-until = Expected back
maintenance-until-unknown = Not known
maintenance-in-hours = { $n ->
    [one] in { $n } hour
   *[other] in { $n } hours
}
maintenance-in-days = { $n ->
    [one] in { $n } day
   *[other] in { $n } days
}
maintenance-in-weeks = { $n ->
    [one] in { $n } week
   *[other] in { $n } weeks
}
maintenance-overdue = Overdue
maintenance-expected-back = expected back
maintenance-overdue-since = overdue since
maintenance-tile-note = { $state }: { $note }
maintenance-in-service = In service
maintenance-in-service-effect = The printer takes every command.
maintenance-draining-effect = The printer finishes its print and gets no new work automatically. You can still start a print by hand.
maintenance-out-of-service-effect = Start, restart and resume are refused. A print in progress continues. Pause, cancel and connect still work.
maintenance-take-out = Take out of service
maintenance-take-out-count = { $n ->
    [one] Take { $n } printer out of service
   *[other] Take { $n } printers out of service
}
maintenance-drain = Drain
maintenance-drain-count = { $n ->
    [one] Drain { $n } printer
   *[other] Drain { $n } printers
}
maintenance-return = Return to service
maintenance-return-count = { $n ->
    [one] Return { $n } printer to service
   *[other] Return { $n } printers to service
}
maintenance-change = Change
maintenance-reason-missing = Enter the reason, so that others know why the printer is out of service.
maintenance-reason-wrong = The reason { $rules }.
