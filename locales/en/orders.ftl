# Orders: the queue, one order, and why orders wait.
field-due_at = Due date
field-file_id = File of the library
field-files = File of the library
field-good = Good
field-models = Printer models
field-number = Part number
field-part = Part number
field-parts_per_plate = Parts per plate
field-priority = Priority
field-quantity = Quantity
field-revision = Revision
field-scrap = Scrap
field-tags_all = Required tags
field-tags_any = One of these tags
field-title = Title
order-adjust = Correct the count
order-adjust-hint = Add parts that you counted by hand, or take parts off with a negative number.
order-all-good = All good
order-attempt = attempt { $n }
order-cancel = Cancel order
order-change = Change order
order-copies = Copies
order-copy-assigned = Assigned
order-copy-finished = Finished
order-copy-lost = Lost
order-copy-released = Not started
order-copy-starting = Starting
order-copy-uploading = Sending file
order-copy-verdict = { $good } good, { $scrap } scrap
order-correct = Correct
order-count-good = good
order-count-printing = printing
order-count-queued = queued
order-count-scrap = scrap
order-count-unjudged = to judge
order-create = Create order
order-details = Details
order-due = due
order-due-in-zone = Due ({ $zone })
order-earlier = Earlier: priority { $n }
order-end = End order
order-end-hint = A short close keeps the good parts and ends the order with fewer than ordered. Neither can be undone.
order-ended = ended
order-feasible = { $n ->
    [one] { $n } printer can make this order.
   *[other] { $n } printers can make this order.
}
order-first-page = First page
order-good-of = { $good } of { $ordered } good
order-hold = Hold
order-judge = Judge
order-judgement = Judgement
order-judgement-auto = Finished parts are good
order-judgement-manual = A person judges each copy
order-judgement-of-part = As the part says, else finished parts are good
order-later = Later: priority { $n }
order-mark-lost = Mark lost
order-models-of-file = as the file says
order-more-copies = These are the newest 100 copies. The API lists all.
order-move-hint = Drag orders by their handle, or use the arrows, to change their priority. The planner also counts due dates and print times.
order-moved-stale = The order was changed in the meantime, so it was not moved. The list below is up to date.
order-new = New order
order-next-page = Next page
order-no-copies = No copies yet. A copy is assigned as soon as a printer is free.
order-no-file = No file
order-no-match = No matching orders.
order-none-yet = No orders yet. An order is a quantity of a part, or of a file of the library. The planner prints it on the printers that are opted in.
order-not-all-good = Not all good
order-not-feasible = No printer can make this order.
order-or = or
order-parts = { $n ->
    [one] { $n } part
   *[other] { $n } parts
}
order-parts-per-plate = { $n ->
    [one] { $n } part per plate
   *[other] { $n } parts per plate
}
order-priority-range = Priority (0–100)
order-priority-short = priority { $n }
order-production-stopped = Production is stopped.
order-production-stopped-effect = No new copies start. Prints in progress continue.
order-queue = Queue
order-release = Release
order-resume-production = Resume production
order-running-cancel = Cancel them
order-running-copies = Running copies
order-running-finish = Let them finish
order-short-close = Short close
order-started = started
order-state = State
order-state-cancelled = Cancelled
order-state-completed = Completed
order-state-on-hold = On hold
order-state-queued = Queued
order-state-running = Running
order-state-short-closed = Short-closed
order-stop-now = Stop now
order-stop-production = Stop production
order-stopped-by = Stopped by { $name }
order-title-of-part = as the part says
order-waits-attempts-used-up = On hold: a copy failed as often as allowed. Find the cause, then release the order.
order-waits-attention = { $n ->
    [one] { $n } printer has to be checked first.
   *[other] { $n } printers have to be checked first.
}
order-waits-bed-size = { $n ->
    [one] The bed of { $n } printer is too small.
   *[other] The beds of { $n } printers are too small.
}
order-waits-behind-others = { $n ->
    [one] { $n } printer takes a more urgent order.
   *[other] { $n } printers take more urgent orders.
}
order-waits-busy = { $n ->
    [one] { $n } printer is busy.
   *[other] { $n } printers are busy.
}
order-waits-color = { $n ->
    [one] { $n } printer does not have the color { $value } loaded.
   *[other] { $n } printers do not have the color { $value } loaded.
}
order-waits-disabled = { $n ->
    [one] { $n } printer is disabled.
   *[other] { $n } printers are disabled.
}
order-waits-draining = { $n ->
    [one] { $n } printer is draining.
   *[other] { $n } printers are draining.
}
order-waits-failed-here = { $n ->
    [one] { $n } printer failed this copy, so another one makes it.
   *[other] { $n } printers failed this copy, so another one makes it.
}
order-waits-file-missing = The library no longer contains the file. Upload it again.
order-waits-material = { $n ->
    [one] { $n } printer does not have { $value } loaded.
   *[other] { $n } printers do not have { $value } loaded.
}
order-waits-max-printers = { $n ->
    [one] The order uses as many printers as it may. { $n } printer is free.
   *[other] The order uses as many printers as it may. { $n } printers are free.
}
order-waits-model = { $n ->
    [one] { $n } printer is of another model than { $value }.
   *[other] { $n } printers are of another model than { $value }.
}
order-waits-no-orders = No order waits.
order-waits-no-printer-can = No enabled and opted-in printer fits.
order-waits-not-before = The order may not start yet.
order-waits-not-opted-in = { $n ->
    [one] { $n } printer is not opted in to automatic starts.
   *[other] { $n } printers are not opted in to automatic starts.
}
order-waits-nozzle = { $n ->
    [one] { $n } printer has another nozzle than { $value } mm.
   *[other] { $n } printers have another nozzle than { $value } mm.
}
order-waits-offline = { $n ->
    [one] { $n } printer does not reply or is not connected.
   *[other] { $n } printers do not reply or are not connected.
}
order-waits-on-hold = The order is on hold.
order-waits-out-of-service = { $n ->
    [one] { $n } printer is out of service.
   *[other] { $n } printers are out of service.
}
order-waits-plate-never-cleared = { $n ->
    [one] { $n } plate was not marked clear since the printer was opted in.
   *[other] { $n } plates were not marked clear since their printers were opted in.
}
order-waits-plate-not-clear = { $n ->
    [one] { $n } plate has to be cleared first.
   *[other] { $n } plates have to be cleared first.
}
order-waits-printer-ids = { $n ->
    [one] The order does not name { $n } other printer.
   *[other] The order does not name { $n } other printers.
}
order-waits-production-stopped = Production is stopped.
order-waits-start-unknown = { $n ->
    [one] Whether { $n } printer started its print is unknown. Check it.
   *[other] Whether { $n } printers started their prints is unknown. Check them.
}
order-waits-starting = { $n ->
    [one] { $n } printer is starting a copy.
   *[other] { $n } printers are starting a copy.
}
order-waits-surplus-limit = { $n ->
    [one] A plate of { $n } printer would make more parts than the order allows.
   *[other] A plate of { $n } printers would make more parts than the order allows.
}
order-waits-tags = { $n ->
    [one] { $n } printer does not have the required tags ({ $value }).
   *[other] { $n } printers do not have the required tags ({ $value }).
}
order-waits-transferring = { $n ->
    [one] { $n } printer is receiving a file.
   *[other] { $n } printers are receiving a file.
}
order-waits-until = Until
order-waits-uploading = { $n ->
    [one] { $n } printer is getting the file of a copy.
   *[other] { $n } printers are getting the file of a copy.
}
order-was-due = was due
order-what = What to print
order-why-due = Due date used
order-why-due-assumed = 14 days after the order was created
order-why-formula = The score grows with the weight, with the share of printing in the time until the plate is clear again, and with less time to spare.
order-why-here = Why on this printer
order-why-hidden = another order
order-why-highest-score = Of the orders that this printer could take, this one had the highest score.
order-why-it-waits = Why it waits
order-why-mean = Mean print time
order-why-mean-used = { $time } (the mean, because the file does not state it)
order-why-next = Next best orders
order-why-no-slack = none
order-why-not-others = Why the others cannot
part-add-file = Add file
part-api = Create and change parts with the API
part-change = Change { $number }
part-changed-meantime = The part was changed in the meantime, so nothing was saved. What you typed is still here.
part-create = Create part
part-edit = Change
part-file-missing = No longer in the library
part-file-n = File { $n }
part-files = { $n ->
    [one] { $n } file
   *[other] { $n } files
}
part-files-hint = A printer gets the first file for its model. A row without a file is left out.
part-intro = A part is an item number with a file for each printer model.
part-new = New part
part-no-match = No matching parts.
part-none-yet = No parts yet.
part-number-or-title = Number or title
part-printers = Only these printers, one name per line
part-remove = Remove part
part-remove-confirm = Remove this part
part-remove-effect = Orders keep the files that they were made with. This cannot be undone.
part-remove-unconfirmed = Tick the box to remove { $number }.
part-requirements = Requirements
part-show-stored = Show the stored part
part-title = Parts
part-updated = Updated
rule-local-time = must be a date with a time, such as 2026-12-03T16:00
task-title = To do
task-none = Nothing to do.
task-attention = Check printer
task-clear-plate = Clear plate
task-load-material = Load material
task-judge = Judge parts
task-failed-twice = Two copies in a row failed. The planner starts nothing on it until you have checked it.
task-start-unknown = It is not known whether a start worked. Look at the printer. If it does not print the copy, mark the copy as lost.
task-upload-failed = A file could not be sent to the printer.
task-material = The order waits for { $material }.
task-checked = I checked it
task-judge-now = Judge
task-show-order = Show order
order-why-only-order = This printer could take no other order.
order-why-plate-time = Plate clear again after
order-why-print-time = Print time
order-why-score = Score
order-why-slack = Time to spare
order-why-weight = Weight of the priority
