batch-accepted = Accepted, checking
batch-all-done = All { $n } { $done }
batch-ask-manager = Ask a manager to request a new key.
batch-back = Back
batch-by = by { $name }
batch-check-printer = Check the printer.
batch-choose-file = { $n ->
    [one] Choose a file
   *[other] Choose a file for these { $n }
}
batch-clear-plates = { $n ->
    [one] Mark { $n } plate clear
   *[other] Mark { $n } plates clear
}
batch-confirm-cancel = A cancelled print cannot be resumed.
batch-confirm-emergency-stop = M112 stops motors and heaters at once. Prints cannot be continued. Each printer has to be reconnected.
batch-confirm-restart = Each print is cancelled and started again from the beginning. Its progress is lost.
batch-confirm-resume = Some of these prints were paused at the printer. Filament may have run out, or a person may be working on the printer.
batch-confirm-start = A print may still be on some of the plates.
batch-count-accepted = accepted, checking
batch-count-expired = expired
batch-count-left = left as they are
batch-count-queued = waiting
batch-count-rejected = refused
batch-count-sent = sent
batch-count-skipped = not sent
batch-count-unauthorized = with access denied
batch-count-uncertain = uncertain
batch-count-unconfirmed = effect not seen
batch-count-unknown = sent, no answer
batch-count-unreachable = without an answer
batch-count-working = in progress
batch-due = due
batch-duration = in { $time }
batch-expired = Expired
batch-expired-why = The command expired before it could be sent. Retry it if you still want it.
batch-finished = Finished
batch-in-progress = In progress
batch-include-paused-at-printer = { $n ->
    [one] Include { $n } print paused at the printer (I checked it)
   *[other] Include { $n } prints paused at the printer (I checked them)
}
batch-later-done = Later check: it took effect.
batch-later-not-done = Later check: it had no effect.
batch-later-unknown = Later check: the effect is still unknown.
batch-left-alone = Left as it is
batch-left-count = { $n ->
    [one] { $n } left as it is
   *[other] { $n } left as they are
}
batch-list-shortened = This list is shortened. The numbers above count all printers of the batch.
batch-no-match = No batches match.
batch-none-done = None { $done }
batch-none-yet = No batches yet. Select printers on the farm page and click a command. The result of each printer is shown here.
batch-not-printing-checked = I checked: they are not printing
batch-partly-done = { $n } of { $total } { $done }
batch-paused-at-printer = { $n ->
    [one] { $n } print was paused at the printer
   *[other] { $n } prints were paused at the printer
}
batch-plates-all-checked = { $n ->
    [one] I checked: the plate is clear
   *[other] I checked: all { $n } plates are clear
}
batch-plates-check-missing = Nothing was sent. Check the plates and tick the box first.
batch-plates-checked = { $n ->
    [one] I checked: the plate is clear. Otherwise this printer is left out.
   *[other] I checked: all { $n } plates are clear. Otherwise these printers are left out.
}
batch-plates-kept = { $n ->
    [one] { $n } plate was not marked clear: another print is on it.
   *[other] { $n } plates were not marked clear: other prints are on them.
}
batch-plates-not-clear = { $n ->
    [one] { $n } plate is not marked clear
   *[other] { $n } plates are not marked clear
}
batch-problems = Problems
batch-queued = Waiting
batch-reason = Reason (kept in the audit log)
batch-reference = Reference
batch-rejected = Refused
batch-rejected-why = The printer refused the command.
batch-reload-hint = Reload the page to see the progress.
batch-request-key = Request a key
batch-retry-all = Retry { $n }
batch-retry-of = retry of an earlier batch
batch-retry-these = { $n ->
    [one] Retry
   *[other] Retry these { $n }
}
batch-scheduled = Scheduled
batch-selected-all = all { $n } printers
batch-selected-tags = tag { $tags } ({ $printers })
batch-selection = Selection
batch-sending-file = sending the file: { $percent } %
batch-sent = Sent
batch-skipped = Not sent
batch-skipped-why = The batch was stopped before this command was sent.
batch-still-running-checked = I checked: they are still running
batch-state = State
batch-stop = Stop sending
batch-stopped = Stopped
batch-stopping = Stopped, waiting for sent commands
batch-transfer-progress = Transfer of the file
batch-transfers = { $n } of { $total } printers have the file · { $sent } of { $size }
batch-type-number = Type { $number } to confirm
batch-unauthorized-why = OctoPrint refused the API key, or a web server in front of it refused access. Check the API key and the proxy settings of the printer.
batch-unconfirmed = Accepted, effect not seen
batch-unknown = Sent, no answer
batch-unknown-printer = unknown printer
batch-unreachable-why = The printer could not be reached, so nothing was sent. Check that it is switched on, then retry.
batch-waiting-for-file = waiting for the file
batch-wrong-number = That is not { $number }. Nothing was sent.
