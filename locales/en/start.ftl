# The start sheet.
start-at-once = { $n ->
    [one] { $n } printer heats up.
   *[other] All at once: { $n } printers heat up at the same time.
}
start-button = { $n ->
    [one] Start { $n } print
   *[other] Start { $n } prints
}
start-changed = The file or the selection has changed. Check the numbers, then start again.
start-choose-file = Choose a file.
start-file = File
start-heading = { $n ->
    [one] Print on { $n } printer
   *[other] Print on { $n } printers
}
start-ignore-fit = { $n ->
    [one] Print anyway on { $n } printer that the file does not fit
   *[other] Print anyway on { $n } printers that the file does not fit
}
start-library-empty = The library has no files yet.
start-more-files = These are the newest files. Search to find others.
start-no-file = no file
start-nothing-selected = None of these printers has a selected file.
start-print-file = Print a file…
start-reason-missing = Enter why the plates are clear.
start-selected = Selected on each printer
start-stagger = Stagger starts
start-stagger-hint = Empty: all prints start at once, and their heaters are on at the same time.
start-starting = { $n ->
    [one] { $n } print will start
   *[other] { $n } prints will start
}
start-title = Start prints
start-transfers = { $n ->
    [one] { $n } printer gets the file first ({ $size })
   *[other] { $n } printers get the file first ({ $size })
}
start-unfit-count = { $n ->
    [one] does not fit { $n } printer
   *[other] does not fit { $n } printers
}
start-update = Update
