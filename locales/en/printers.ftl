printer-access = Proxy, TLS, camera
printer-access-hint = Only needed if a web server in front of OctoPrint requires a login, if OctoPrint has its own certificate, or if the camera has another address.
printer-add = Add printer
printer-add-by-address = Add printers by address, or import a list.
printer-add-several = Several printers:
printer-address = Address
printer-api-key = API key
printer-api-key-unchanged = leave empty to keep the key
printer-ask-for-address = The printer does not answer at its address. A user with the role manager or admin can test it and change it.
printer-ask-for-key = The printer refuses the API key. A user with the role manager or admin can request or enter another one.
printer-back = Back
printer-ca-certificate = CA certificate (PEM)
printer-camera-address = Camera address
printer-change-address = Change address
printer-change-tags = Change tags
printer-check-again = Check again
printer-connection-test = Connection test
printer-delete = Delete
printer-delete-file = Delete { $name }
printer-details = Details
printer-discard-changes = Discard changes
printer-discovery = Printers on the network
printer-discovery-again = Search again
printer-discovery-blocked = In a network that this server must not connect to
printer-discovery-disabled = The network search is disabled on this server (PRINTYARD_DISCOVERY). Add printers by address, or import a list.
printer-discovery-failed = This server cannot receive announcements (mDNS): { $why }.
printer-discovery-link = search the network
printer-discovery-none = No OctoPrint was found within three seconds.
printer-discovery-none-next = Announcements (mDNS) only reach servers in the same network segment. In a container, use the host network. In OctoPrint, enable the plugin Discovery. Otherwise add printers by address, or import a list.
printer-discovery-registered = Already added
printer-discovery-registered-as = Already added as { $name }
printer-discovery-running = Searching the network for OctoPrint. This takes three seconds.
printer-discovery-show = Show the result if this page does not change
printer-edit = Edit printer
printer-enabled = Enabled: monitored, accepts commands
printer-enter-key = Enter a key
printer-file = File
printer-file-unknown = unknown file
printer-files = Files
printer-files-failed = The files could not be loaded. Reload the page.
printer-files-loading = Loading files
printer-files-unavailable = The files appear here when the printer is reachable.
printer-headers = Headers (one per line)
printer-history = History
printer-import = Import printers
printer-import-added = { $n ->
    [one] { $n } printer will be added
   *[other] { $n } printers will be added
}
printer-import-another = Choose another list
printer-import-answers = How the printers answered
printer-import-count = { $n ->
    [one] Import { $n } printer
   *[other] Import { $n } printers
}
printer-import-disabled = disabled
printer-import-existing = { $n ->
    [one] { $n } already exists
   *[other] { $n } already exist
}
printer-import-file = CSV file
printer-import-format = The first line names the columns: { $columns }. Only name and url are required. A list can have 1,000 rows and 1 MB.
printer-import-intro = Save a spreadsheet as CSV, with one printer in each row. Before the import, a preview shows the result for each row.
printer-import-invalid = { $n ->
    [one] { $n } row cannot be imported
   *[other] { $n } rows cannot be imported
}
printer-import-left-out = { $n ->
    [one] { $n } row left out
   *[other] { $n } rows left out
}
printer-import-line = Line
printer-import-link = import a list
printer-import-preview = Show preview
printer-import-row-added = will be added
printer-import-row-exists = already exists
printer-import-row-skipped = will be skipped
printer-import-text = Or paste the rows
printer-import-waiting = { $n ->
    [one] { $n } printer has not answered yet…
   *[other] { $n } printers have not answered yet…
}
printer-import-with-access = with proxy, TLS or camera settings
printer-import-with-key = with API key
printer-import-without-key = without API key
printer-imported = { $n ->
    [one] { $n } printer was imported.
   *[other] { $n } printers were imported.
}
printer-key-allow = Open OctoPrint, log in, and allow the request of Printyard. The request ends after five minutes.
printer-key-denied = OctoPrint did not grant a key: the request was denied there, or OctoPrint was restarted.
printer-key-granted = OctoPrint granted a key. It is stored when you submit this form.
printer-key-request = Request a key
printer-key-request-lost = This server no longer has the key request.
printer-key-request-next = Request the key again, or enter one.
printer-key-requested = A key was requested from OctoPrint.
printer-key-timeout = The request was not allowed in OctoPrint within five minutes.
printer-new-api-key = New API key
printer-no-history = No commands yet.
printer-no-events = No events
printer-no-files = OctoPrint has no files.
printer-no-prints = No prints yet.
printer-nozzle = Nozzle
printer-octoprint = OctoPrint
printer-octoprint-address = OctoPrint address
printer-older-history = Older entries
printer-open-octoprint = Open OctoPrint
printer-optional = optional
printer-plate-changed = Another print is on the plate now. Check the plate, then mark it clear again.
printer-plate-not-marked-clear = Plate not marked clear
printer-plate-printing = The printer is printing. Mark the plate clear after you have removed the print.
printer-polled-instead = The printer is polled instead.
printer-print-duration = Duration
printer-print-end-not-seen = End not seen
printer-print-start = Started
printer-prints = Prints
printer-proxy-password = Proxy password
printer-proxy-user = Proxy user
printer-registry-changed-during-import = Nothing was imported, because the printers changed after the preview. Check the new preview, then import again.
printer-remove = Remove printer
printer-remove-camera-address = Remove the camera address
printer-remove-confirm = Yes, remove this printer
printer-remove-effect = Waiting commands to this printer are skipped, and sent commands end as unknown. Its prints and commands stay in the history. A running print continues.
printer-remove-named = Remove { $name }
printer-remove-unconfirmed = { $name } was not removed. Go back, confirm the removal, then press the button again.
printer-removed = removed printer
printer-result = Result
printer-secret-entered = already entered; type to replace
printer-secret-stored = stored; type to replace
printer-select = Select
printer-selected = selected
printer-settings = Settings of { $name }
printer-show-files = Show files
printer-tag-count = { $n ->
    [one] on { $n } printer
   *[other] on { $n } printers
}
printer-tags = Tags
printer-tags-add = Add tags (comma-separated)
printer-tags-changed = { $n ->
    [one] { $n } printer was changed.
   *[other] { $n } printers were changed.
}
printer-tags-list = Tags (comma-separated)
printer-tags-of = { $n ->
    [one] Tags of { $n } printer
   *[other] Tags of { $n } printers
}
printer-tags-remove = Remove tags
printer-tags-unchanged = { $n } needed no change.
printer-test-again = Test again
printer-test-connection = Test connection
printer-test-hint = The test result appears here. Your input stays in the form.
printer-test-passed = OctoPrint { $version } answers, and accepts the API key of { $user }.
printer-test-result = Test result
printer-updates = Updates
printer-updates-live = live
printer-updates-polled = by polling
printer-upload = Upload
printer-upload-file = Drop a file here, or choose it
printer-upload-select = Select for the next print
printer-use-address = Use { $url }
printer-version = Version
