farm-active = Everything else
farm-all = All
farm-all-matching = all matching printers
farm-all-plates-clear = { $n ->
    [one] I checked: the plate on this page is clear
   *[other] I checked: all { $n } plates on this page are clear
}
farm-all-tags = All tags
farm-apply = Apply
farm-attention = Attention
farm-bed = bed{" "}
farm-broken = Broken
farm-camera-image = Camera image
farm-check-printer = Check printer
farm-close = Close
farm-column-done = Done
farm-column-file = File
farm-column-heaters = Temperatures
farm-column-left = Left
farm-column-material = Material
farm-column-progress = Progress
farm-column-state = State
farm-commands = Commands for the selected printers
farm-dots = Dots
farm-empty-add = With the address of its OctoPrint.
farm-empty-ask = Ask a manager to add printers.
farm-empty-discover = Finds OctoPrint instances nearby.
farm-empty-discover-title = Search the network
farm-empty-import = From a CSV file or a spreadsheet.
farm-empty-import-title = Import a list
farm-filter = Filter
farm-filter-kind = Filter by kind
farm-filter-state = Filter by state
farm-fix-access = Fix access
farm-idle = Ready and off
farm-key-ctrl = Ctrl
farm-key-enter = Enter
farm-key-esc = Esc
farm-key-shift = Shift
farm-key-space = Space
farm-keys = Keyboard shortcuts
farm-keys-arrow-or-click = + arrow key or click
farm-keys-bar = go to the commands, and back
farm-keys-button = Keyboard shortcuts (?)
farm-keys-mouse = With the mouse: press on a tile and drag over others to select them.
farm-keys-move = move between printers
farm-keys-open-printer = open the printer
farm-keys-search = search
farm-keys-select = select or deselect
farm-keys-select-all = select all shown
farm-keys-select-none = clear the selection
farm-keys-select-range = select a range
farm-keys-show-list = show this list
farm-more = More
farm-no-answer-since = No answer since
farm-no-answer-yet = No answer yet
farm-no-limit = no limit
farm-no-matching-printers = No matching printers
farm-no-plates = None of the selected printers has a plate to clear. Select printers with an occupied plate.
farm-no-printers-yet = No printers yet
farm-no-progress-since = No progress since
farm-not-checked-yet = Not checked yet
farm-not-live = Not live.
farm-not-octoprint = Not an OctoPrint
farm-paused-at-printer = Paused at the printer
farm-paused-at-printer-note = Check the printer, then resume.
farm-plate-occupied = Plate occupied
farm-plates-are-clear = Plates are clear
farm-plates-cleared = { $n ->
    [one] { $n } plate is clear.
   *[other] { $n } plates are clear.
}
farm-plates-partly-cleared = { $n } of { $total } plates are clear.
farm-printer-count = { $n ->
    [one] The farm has { $n } printer.
   *[other] The farm has { $n } printers.
}
farm-printing-percent = Printing { $percent } %
farm-rows = Rows
farm-search = Search
farm-search-field = Search
farm-search-placeholder = Name, model or file
farm-select = Select { $name }
farm-show-all = Show all
farm-skip-to-commands = Skip to commands
farm-sort = Sort by
farm-sort-attention = Attention first
farm-sort-last-update = Oldest update first
farm-sort-name = By name
farm-sort-time-left = Shortest time left first
farm-stalled = Stalled
farm-stalled-note = No progress, and no heater is on. Check the printer.
farm-tag = Tag
farm-tiles = Tiles
farm-tiles-with-cameras = Tiles with cameras
farm-to-do = To do
farm-unknown-state = Unknown state: { $state }
farm-untagged = Without a tag
