statistics-bars-prints-over-time = Bars of prints over time; the table below says the same in numbers
statistics-bars-utilisation-over-time = Bars of utilisation over time; the table below says the same in numbers
statistics-beginning-print-end-pauses = From the beginning of a print to its end, pauses included, on the days on which that time passed; of a print that goes on, until its printer was seen last. Of a print whose end nobody watched no time is known.
statistics-counting = Old prints are still being counted, so the figures are too low. Load the page again later.
statistics-day = Day
statistics-day-2 = { $n ->
    [one] { $n } day
   *[other] { $n } days
}
statistics-days-begin-midnight-utc = Days begin at midnight UTC.
statistics-done-failed-cancelled-not = { $when }: { $done } done, { $failed } failed, { $cancelled } cancelled, { $unknown } not watched
statistics-each-bar-day = Each bar is a day.
statistics-each-bar-days = Each bar is { $n } days.
statistics-each-counts-day-ended = Each counts on the day on which it ended.
statistics-each-printer-day-csv = Each printer and day as CSV
statistics-from = From
statistics-list-prints = List of prints
statistics-no-print-fits = No print fits.
statistics-not-yet = Not yet
statistics-old-prints-still-being-counted = Old prints are still being counted, and the file would lack some. Try again in a while.
statistics-page-printer = Page of the printer
statistics-printed = Printed
statistics-printer-most-used-first = By printer, the most used first
statistics-printer-used-less-file = { $n ->
    [one] { $n } printer that was used less is in the file.
   *[other] { $n } printers that were used less are in the file.
}
statistics-prints-done-among-those = The prints that were done among those that were done, failed or were cancelled. Those whose end nobody watched are left out.
statistics-prints-how-they-ended = Prints by how they ended
statistics-removed = { $n ->
    [one] { $n } that was removed
   *[other] { $n } that were removed
}
statistics-same-numbers = The same in numbers
statistics-show = Show
statistics-statistics = Statistics
statistics-success = Success
statistics-tag = By tag
statistics-time = Time
statistics-time-ends-before-begins = The time ends before it begins
statistics-time-printed-among-time = The time that was printed among the time that the printers were registered here, day and night, whether they were switched on or not. Printers that were removed have none.
statistics-too-many-days = At most { $n } days can be shown at once
statistics-utilisation = Utilisation
statistics-what-counted = What is counted
statistics-whole-farm = Whole farm
