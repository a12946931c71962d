statistics-bar-is-day = Each bar is one day.
statistics-bar-is-days = Each bar is { $n } days.
statistics-bar-title = { $when }: { $done } done, { $failed } failed, { $cancelled } cancelled, { $unknown } end not seen
statistics-by-printer = By printer, most used first
statistics-by-reason = Prints without success, by reason
statistics-by-tag = By tag
statistics-change = { $change } vs. the { $n ->
    [one] day
   *[other] { $n } days
} before
statistics-counting = Prints are still being counted, so the figures are not final. Reload the page later.
statistics-csv-not-ready = File not ready yet
statistics-csv-not-ready-text = Prints are still being counted, so the file would not be correct. Try again later.
statistics-day = Day
statistics-days = { $n ->
    [one] { $n } day
   *[other] { $n } days
}
statistics-download-csv = Download daily CSV
statistics-failures-by-printer = Prints without success, by printer
statistics-kept-days = Sums up to { $day } also have prints by days of an earlier time zone: these prints are deleted and cannot be counted again.
statistics-meaning = Definitions
statistics-more-printers = { $n ->
    [one] The file has { $n } more printer.
   *[other] The file has { $n } more printers.
}
statistics-more-reasons = { $n ->
    [one] { $n } more reason.
   *[other] { $n } more reasons.
}
statistics-no-match = No matching prints.
statistics-no-reason = No reason reported
statistics-nothing-before = nothing in the { $n ->
    [one] day
   *[other] { $n } days
} before
statistics-open-printer = Open printer
statistics-period = Period
statistics-period-reversed = The period ends before it starts. Change one of the dates
statistics-period-too-long = The period has more than { $n } days. Choose a shorter one
statistics-points = points
statistics-print-list = List of prints
statistics-print-time = Print time
statistics-print-time-meaning = The time from start to end of a print, with its pauses, counted on the days on which it passed. A running print counts until its printer was last seen. A print whose end was not seen has no print time.
statistics-prints-by-result = Prints by result
statistics-prints-chart = Chart of prints over time; the table below has the numbers
statistics-prints-meaning = Each print counts on the day on which it ended. If the period includes today, its last day is not over yet.
statistics-reason = Reason
statistics-removed-printers = { $n ->
    [one] { $n } removed printer
   *[other] { $n } removed printers
}
statistics-show = Show
statistics-show-table = Show table
statistics-step-start = From
statistics-success = Success
statistics-success-meaning = Done prints as a share of all done, failed and cancelled prints. Prints whose end was not seen do not count.
statistics-title = Statistics
statistics-utilisation = Utilisation
statistics-utilisation-chart = Chart of utilisation over time; the table below has the numbers
statistics-utilisation-meaning = Print time as a share of the time for which the printers were registered, day and night, switched on or off. Removed printers have no utilisation.
statistics-whole-farm = Whole farm
statistics-zone-days = Days begin at midnight, { $zone }.
