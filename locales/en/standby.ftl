standby-another-server-runs-farm = Another server runs this farm. This one takes over when it ends.
standby-open-address-server-page = Open the address of that server. This page looks again every 5 seconds.
standby-running = Running on { $holder }
standby-since = since
standby-standby = Standby
