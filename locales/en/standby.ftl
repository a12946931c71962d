standby-active-server = Active server: { $holder }
standby-another-server = Another server runs this farm. This server takes over when the other one stops.
standby-open-other-server = Open the address of the other server. This page checks again every 5 seconds.
standby-since = since
standby-title = Standby
