word-1-m = < 1 m
word-access-refused = Access refused
word-add = Add
word-add-printer = Add printer
word-admin = admin
word-audit = Audit
word-batches = Batches
word-busy-another-command = busy with another command
word-by = By
word-cancel-print = Cancel print
word-cancel-print-2 = { $n ->
    [one] Cancel { $n } print
   *[other] Cancel { $n } prints
}
word-cancel-under-way = cancel under way
word-cancelled = Cancelled
word-cancelling = Cancelling…
word-command = Command
word-connect = Connect
word-connect-printer = { $n ->
    [one] Connect { $n } printer
   *[other] Connect { $n } printers
}
word-connected = Connected
word-connected-already = connected already
word-connecting = Connecting…
word-connecting-2 = connecting
word-content = To the content
word-d-h = { $d } d { $h } h
word-disabled = Disabled
word-disabled-2 = disabled
word-disconnect = Disconnect
word-disconnect-printer = { $n ->
    [one] Disconnect { $n } printer
   *[other] Disconnect { $n } printers
}
word-disconnected = Disconnected
word-disconnected-already = disconnected already
word-disconnecting = disconnecting
word-done = Done
word-enter-does-nothing = Enter does nothing
word-error = Error
word-failed = Failed
word-farm = Farm
word-farm-2 = To the farm
word-finishing = Finishing…
word-h-m = { $h } h { $m } m
word-log-out = Log out
word-m = { $m } m
word-manager = manager
word-me = Me
word-more = and { $n } more
word-name = Name
word-newest = Newest
word-no-answer = No answer
word-no-longer-there = no longer there
word-not-connected = Not connected
word-not-connected-error = not connected or in error
word-not-printing = not printing
word-nothing-done = Nothing was done
word-operator = operator
word-outcome = Outcome
word-outside-what-you-may = outside what you may control
word-pages = Pages
word-pause = Pause
word-pause-printer = { $n ->
    [one] Pause { $n } printer
   *[other] Pause { $n } printers
}
word-pause-resume-printer = { $n ->
    [one] Pause or resume { $n } printer
   *[other] Pause or resume { $n } printers
}
word-pause-under-way = pause under way
word-paused = Paused
word-paused-already = paused already
word-paused-printer = paused at the printer
word-pausing = Pausing…
word-people = People
word-plate-clear = Plate is clear
word-plate-clear-2 = with a plate to clear
word-printer = Printer
word-printer-2 = { $n ->
    [one] { $n } printer
   *[other] { $n } printers
}
word-printing = Printing
word-printing-already = printing already
word-ready = Ready
word-restart = Restart
word-restart-printer = { $n ->
    [one] Restart { $n } printer
   *[other] Restart { $n } printers
}
word-restart-under-way = restart under way
word-restarted = Restarted
word-resume = Resume
word-resume-printer = { $n ->
    [one] Resume { $n } printer
   *[other] Resume { $n } printers
}
word-resume-under-way = resume under way
word-resumed = Resumed
word-resuming = Resuming…
word-save = Save
word-so-already = so already
word-start = Start
word-start-printer = { $n ->
    [one] Start { $n } printer
   *[other] Start { $n } printers
}
word-start-under-way = start under way
word-started = Started
word-starting = Starting…
word-there-nothing-older = There is nothing older.
word-toggle = Toggle
word-toggle-under-way = toggle under way
word-toggled = Toggled
word-transferring-file-sd = Transferring a file to SD…
word-unknown = Unknown
word-unknown-state = in an unknown state
word-viewer = viewer
word-what = What
word-when = When
word-without-print = without a print
word-without-selected-file = without a selected file
word-would-refuse = that would refuse
