word-access-denied = Access denied
word-account = Account
word-action = Action
word-add = Add
word-add-printer = Add printer
word-admin = admin
word-already-connected = already connected
word-already-disconnected = already disconnected
word-already-paused = already paused
word-already-printing = already printing
word-already-toggled = unchanged
word-audit-log = Audit log
word-batches = Batches
word-below-one-minute = < 1 min
word-by = By
word-cancel-count = { $n ->
    [one] Cancel { $n } print
   *[other] Cancel { $n } prints
}
word-cancel-in-progress = cancel in progress
word-cancel-print = Cancel print
word-cancelled = Cancelled
word-cancelling = Cancelling…
word-command = Command
word-connect = Connect
word-connect-count = { $n ->
    [one] Connect { $n } printer
   *[other] Connect { $n } printers
}
word-connect-in-progress = connecting
word-connected = Connected
word-connecting = Connecting…
word-count-busy = busy with another command
word-count-disabled = disabled
word-count-failed = failed
word-count-file-does-not-fit = that the file does not fit
word-count-file-missing = without the file
word-count-forbidden = outside your permissions
word-count-invalid-reply = without a valid reply
word-count-job-active = with an active job
word-count-not-operational = not connected or in error
word-count-not-printing = not printing
word-count-other-job = with another job
word-count-other-state = in another state by then
word-count-overtaken = cancelled meanwhile
word-count-paused-at-printer = paused at the printer
word-count-plate-occupied = with an occupied plate
word-count-removed = removed
word-count-unknown-state = in an unknown state
word-count-without-file = without a selected file
word-count-without-print = without a print
word-days-hours = { $d } d { $h } h
word-disabled = Disabled
word-disconnect = Disconnect
word-disconnect-count = { $n ->
    [one] Disconnect { $n } printer
   *[other] Disconnect { $n } printers
}
word-disconnect-in-progress = disconnecting
word-disconnected = Disconnected
word-doing-cancel = Cancelling { $n }
word-doing-connect = Connecting { $n }
word-doing-disconnect = Disconnecting { $n }
word-doing-pause = Pausing { $n }
word-doing-restart = Restarting { $n }
word-doing-resume = Resuming { $n }
word-doing-start = Starting { $n }
word-doing-toggle = Pausing or resuming { $n }
word-done = Done
word-emergency-stop = Emergency stop
word-emergency-stop-count = { $n ->
    [one] Emergency stop of { $n } printer
   *[other] Emergency stop of { $n } printers
}
word-emergency-stop-in-progress = emergency stop in progress
word-enter-does-nothing = Enter does nothing
word-error = Error
word-failed = Failed
word-farm = Farm
word-finishing = Finishing…
word-from-date = From
word-hours-minutes = { $h } h { $m } min
word-log-out = Log out
word-main-menu = Main menu
word-manager = manager
word-mark-clear = Mark clear
word-minutes = { $m } min
word-more = and { $n } more
word-name = Name
word-newest = Newest
word-no-answer = No answer
word-no-older-entries = No older entries.
word-not-connected = Not connected
word-nothing-done = Nothing was done
word-operator = operator
word-outcome = Outcome
word-pause = Pause
word-pause-count = { $n ->
    [one] Pause { $n } printer
   *[other] Pause { $n } printers
}
word-pause-in-progress = pause in progress
word-paused = Paused
word-pausing = Pausing…
word-printer = Printer
word-printer-count = { $n ->
    [one] { $n } printer
   *[other] { $n } printers
}
word-printing = Printing
word-ready = Ready
word-restart = Restart
word-restart-count = { $n ->
    [one] Restart { $n } print
   *[other] Restart { $n } prints
}
word-restart-in-progress = restart in progress
word-restarted = Restarted
word-resume = Resume
word-resume-count = { $n ->
    [one] Resume { $n } printer
   *[other] Resume { $n } printers
}
word-resume-in-progress = resume in progress
word-resumed = Resumed
word-resuming = Resuming…
word-save = Save
word-skip-to-content = Skip to content
word-start = Start
word-start-count = { $n ->
    [one] Start { $n } printer
   *[other] Start { $n } printers
}
word-start-in-progress = start in progress
word-started = Started
word-starting = Starting…
word-stopped = Stopped
word-time = Time
word-to-date = To
word-to-farm = Go to farm
word-toggle = Toggle
word-toggle-count = { $n ->
    [one] Pause or resume { $n } printer
   *[other] Pause or resume { $n } printers
}
word-toggle-in-progress = toggle in progress
word-toggled = Toggled
word-transferring = Transferring file to SD…
word-unknown = Unknown
word-users = Users
word-viewer = viewer
word-out-of-service = Out of service
word-draining = Draining
word-count-out-of-service = out of service
word-doing-emergency-stop = Stopping { $n }
word-count-stopped = stopped meanwhile
