printer-about = About it
printer-add-printer = Add a printer
printer-add-printers-their-addresses = Add printers by their addresses, or import a list.
printer-added = is added
printer-address = Address
printer-address-octoprint = Address of its OctoPrint
printer-announcements-mdns-reach-server = Announcements (mDNS) reach a server on the same network segment only, and no container on a network of its own: give the container the network of its host. OctoPrint's plugin Discovery has to be on. Otherwise add printers by their addresses, or import a list.
printer-another-api-key = Another API key
printer-another-file = Another file
printer-another-list = Another list
printer-another-print-lies-now = Another print lies on it now than the one that you saw.
printer-api-key = API key
printer-ask-again-type-key = Ask again, or type a key.
printer-ask-octoprint-key = Ask OctoPrint for a key
printer-back = Back
printer-back-change-nothing = Back, change nothing
printer-bed-width-depth-height = Bed: width, depth and height in mm
printer-began = Began
printer-ca-certificate-pem = CA certificate (PEM)
printer-camera-address = Camera address
printer-change-remove = Change or remove
printer-change-tags = Change the tags
printer-changes-observed = Changes are observed
printer-check-again = Check again
printer-color = Its color
printer-commands = Commands
printer-delete = Delete
printer-delete-2 = Delete { $name }
printer-electrical-circuit = Electrical circuit
printer-event-socket = by its event socket
printer-event-socket-closed-does = The event socket was closed or does not reply.
printer-event-socket-refused-does = The event socket is refused. Does a proxy block websockets?
printer-file = File
printer-file-2 = The file
printer-files = Files
printer-files-can-listed-when = The files can be listed when the printer answers.
printer-files-could-not-listed = The files could not be listed.
printer-first-line-names-columns = The first line names the columns: { $columns }. Only name and url have to be there. At most 1,000 rows and 1 MB.
printer-given-none-yet = It was given none yet.
printer-had-tags-so-already = { $n ->
    [one] { $n } had its tags so already.
   *[other] { $n } had their tags so already.
}
printer-headers-one-per-line = Headers, one per line
printer-i-am-sure = I am sure
printer-import-list = import a list
printer-import-printer = { $n ->
    [one] Import { $n } printer
   *[other] Import { $n } printers
}
printer-import-printers = Import printers
printer-kept-before-type-here = kept from before; type here to replace it
printer-key = with a key
printer-key-denied = OctoPrint gave no key: the request was denied there, or OctoPrint was restarted.
printer-left-out = is left out
printer-line = Line
printer-list-spreadsheet-saved-csv = A list from a spreadsheet, saved as CSV: a printer in each row. What would become of each row is shown first.
printer-login-events-fails = The login for events fails.
printer-look = Look at it
printer-look-again = Look again
printer-look-network = look on the network
printer-looking-octoprints-announce-themselves = Looking for OctoPrints that announce themselves. That takes three seconds.
printer-material = Material
printer-material-2 = Material in it
printer-model = Model
printer-network = On the network
printer-network-server-must-not = In a network that this server must not connect to
printer-no-events = No events
printer-no-octoprint-announced-itself = No OctoPrint announced itself within three seconds.
printer-nobody-allowed-octoprint-within = Nobody allowed it in OctoPrint within five minutes.
printer-none-seen-yet = None was seen yet.
printer-not-known = not known
printer-not-use = not in use
printer-not-watched = Not watched
printer-notes = Notes
printer-nothing-done-tick-you = Nothing was done. Tick that you are sure before you remove { $name }.
printer-nozzle = Nozzle
printer-nozzle-mm = Nozzle in mm
printer-octoprint = OctoPrint
printer-octoprint-answers-knows-key = OctoPrint { $version } answers, and knows the key as { $user }.
printer-octoprint-asked-key = OctoPrint was asked for a key.
printer-octoprint-behind-web-server = For an OctoPrint behind a web server that asks for a login, with a certificate of your own, or with a camera elsewhere.
printer-octoprint-does-not-confirm = OctoPrint does not confirm the login for events. Does the user name contain a colon?
printer-octoprint-gave-key-kept = OctoPrint gave a key. It is kept in this form, and stored when you send it; nobody has to see it.
printer-octoprint-no-files = OctoPrint has no files.
printer-octoprint-refuses-login-events = OctoPrint refuses the login for events.
printer-older-commands = Older commands
printer-older-prints = Older prints
printer-one-there-stays = the one that is there stays
printer-open-page-log-allow = Open its page, log in, and allow Printyard there. It waits for five minutes.
printer-optional = optional
printer-optional-counts-who-heats = optional: counts who heats at once
printer-password-web-server = Password for the web server
printer-plate-not-marked-clear = The plate was not marked as clear
printer-polling = by polling
printer-power-group = Power group
printer-printer-changed = { $n ->
    [one] { $n } printer was changed.
   *[other] { $n } printers were changed.
}
printer-printer-imported = { $n ->
    [one] { $n } printer was imported.
   *[other] { $n } printers were imported.
}
printer-printer-polled = The printer is polled.
printer-printer-printing = The printer is printing on it.
printer-printer-will-added = { $n ->
    [one] { $n } printer will be added
   *[other] { $n } printers will be added
}
printer-prints = Prints
printer-proxy-tls-camera = Proxy, TLS, camera
printer-proxy-tls-camera-settings = with proxy, TLS or camera settings
printer-put-all-them-commas = Put on all of them, with commas between
printer-reading-list-files = Reading the list of files
printer-registered = Registered
printer-registered-2 = Registered as { $name }
printer-registry-changed-during-import = Nothing was imported: the printers have changed since this preview. Check it again.
printer-remove = Remove it
printer-remove-2 = Remove { $name }
printer-remove-camera-address = Remove the camera address
printer-result = Result
printer-row-cannot-imported = { $n ->
    [one] { $n } row cannot be imported
   *[other] { $n } rows cannot be imported
}
printer-rows-pasted = Or its rows, pasted
printer-select = Select
printer-select-next-start-prints = Select it: the next start prints it
printer-selected = selected
printer-server-cannot-listen-network = This server cannot listen on the network: { $why }.
printer-server-set-not-look = This server is set not to look around on the network (PRINTYARD_DISCOVERY). Add printers by their addresses, or import a list.
printer-settings = Settings of { $name }
printer-several-once = Several at once:
printer-show-files = Show files
printer-show-what-found-where = Show what was found, where this page stays
printer-stored-type-here-replace = stored; type here to replace it
printer-tags = Tags
printer-tags-commas-between = Tags, with commas between
printer-tags-printer = { $n ->
    [one] Tags of { $n } printer
   *[other] Tags of { $n } printers
}
printer-take-off = Take off
printer-test-connection = Test the connection
printer-test-connection-2 = The test of the connection
printer-them = on { $n } of them
printer-there-already = is there already
printer-there-already-2 = { $n ->
    [one] { $n } is there already
   *[other] { $n } are there already
}
printer-took = Took
printer-upload = Upload
printer-use = Use { $url }
printer-use-watched-takes-commands = In use: it is watched, and takes commands
printer-user-web-server = User for the web server
printer-version = Version
printer-what-asked-octoprint-not = What was asked of OctoPrint is not known any more.
printer-what-becomes = What becomes of it
printer-what-test-finds-shows = What the test finds shows here; the form stays as it is.
printer-what-test-found = What the test found
printer-what-waits-skipped-what = What waits for it is skipped, and what was sent to it ends as unknown. Its prints and what it was commanded stay in the history. The printer itself goes on with what it does.
printer-without-key = without a key
