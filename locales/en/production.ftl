# Automatic production of a printer: what it does next, and why it gets no work.
production-title = Production
production-automatic = Automatic
production-on = On
production-off = Off
production-off-effect = The planner starts no prints on it. A running print continues.
production-on-effect = The planner starts prints of orders by itself, on a plate that someone has marked clear since then. Nothing starts before that.
production-turn-on = Turn on automatic production
production-turn-on-count = { $n ->
    [one] Turn on automatic production of { $n } printer
   *[other] Turn on automatic production of { $n } printers
}
production-turn-off = Turn off automatic production
production-turn-off-count = { $n ->
    [one] Turn off automatic production of { $n } printer
   *[other] Turn off automatic production of { $n } printers
}
production-until = until
production-waits = Waits
production-now = Now
production-next = Next
production-does-not-fit = Does not take
production-ready-at = ready about
production-other-order = An order of another area
production-parts = { $n ->
    [one] { $n } part
   *[other] { $n } parts
}
outlook-orders-wait = { $n ->
    [one] { $n } order waits: { $why }
   *[other] { $n } orders wait: { $why }
}
outlook-next = Next: { $file }
outlook-on-hold = on hold
outlook-attempts-used-up = on hold after failures
outlook-not-before = may not start yet
outlook-no-printer-can = no printer fits
outlook-surplus-limit = a plate would make too many parts
outlook-plate-not-clear = Clear the plate first.
outlook-plate-never-cleared = Production starts once you have marked the plate clear.
outlook-attention = Check the printer first.
outlook-start-unknown = It is not known whether the last start worked.
outlook-behind-others = behind other orders
outlook-max-printers = on as many printers as allowed
outlook-failed-here = failed on this printer
outlook-starting = A print starts.
outlook-uploading = A file is sent to the printer.
outlook-transferring = A file is sent to the printer.
outlook-busy = The printer is busy.
outlook-offline = The printer is not ready.
outlook-file-missing = file is missing
outlook-color = other colour
outlook-material = other material
outlook-nozzle = other nozzle
outlook-bed-size = does not fit on the bed
outlook-not-opted-in = Automatic production is off.
outlook-draining = The printer is draining.
outlook-out-of-service = The printer is out of service.
outlook-disabled = The printer is disabled.
outlook-model = other printer model
outlook-tags = for printers with other tags
outlook-printer-ids = for other printers
