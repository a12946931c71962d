# Why a request was refused, and why a command waits.
refusal-prints-not-stored = The newest prints are not stored yet. Try again in a few seconds.
refusal-many-logins = Many users are logging in now. Try again in a few seconds.
refusal-batch-has-hidden-printers = This batch also has printers that you cannot see, so you cannot stop it.
refusal-needs-operator-check = The commands may have been executed. Check the printers, then retry with operator_checked true.
refusal-batch-not-finished = The batch has not finished yet. Wait until it has, or stop it.
refusal-no-such-outcome = No command of this batch ended with one of these outcomes.
refusal-too-many-scheduled = You have 100 scheduled batches, which is the limit for a user or a token. Stop one of them first.
refusal-too-many-own-batches = You have too many unfinished batches. Wait until some have finished, or stop them.
refusal-too-many-batches = The server has too many unfinished batches. Wait until some have finished, or stop them.
refusal-server-stops = The server is stopping. Send the request again when it has started.
refusal-nothing-selected = The selection matches no printer.
refusal-access-unreadable = The stored address, API key or proxy settings cannot be read. Enter them again.
refusal-dispatcher-silent = The dispatcher does not respond. Try again in a few seconds.
refusal-too-many-own-uploads = You have too many uploads at once. Wait until one has finished.
refusal-too-many-uploads = The server has too many uploads at once. Wait until one has finished.
refusal-no-upload-space = The server has no space for another upload now. Wait until one has finished.
refusal-too-many-key-requests = Too many key requests are open. Try again in a few minutes.
refusal-token-has-no-password = You use a token, which has no password.
refusal-last-admin = This is the last admin who can log in. Create another admin first.
refusal-user-name-taken = Another user has this name.
refusal-printer-name-taken = Another printer has this name.
refusal-printer-url-taken = Another printer has this address.
refusal-dispatcher-waits = The dispatcher is waiting for the database. Try again in a few seconds.
refusal-already-printing = The printer has a job. Wait until it has ended.
refusal-file-type = OctoPrint does not accept files with this extension.
refusal-expired = The time limit of the command passed before it could be sent.
refusal-account-changes = Your account is being changed now. Try again in a few seconds.
refusal-role = Your role does not allow this.
refusal-whole-farm = A token that is limited to tags cannot see figures of the whole farm.
refusal-idempotency-key-reused = This Idempotency-Key was used for another request. Use a new key for each request.
refusal-request-in-progress = The first request with this Idempotency-Key has not finished yet. Send the request again later.
refusal-not-tried = Not tried: the database failed earlier in this request.
refusal-printer-keeps-changing = Other requests keep changing this printer. Try again.
refusal-too-many-deliveries = Too many requests to receivers are open. Try again in a minute.
refusal-webhook-disabled = The webhook is disabled. Enable it first.
refusal-event-expired = The event is no longer stored.

refusal-command-in-flight = Another command to this printer has not ended yet: { $command ->
    [emergency_stop] emergency stop
   *[other] { $command }
}.
refusal-emergency-stop-not-connected = OctoPrint is not connected to the printer, so the stop cannot reach it. The printer may still heat or move: switch it off at its power supply.
refusal-waited-for-command = Another command to this printer took longer than this command may wait.
refusal-printer-busy = The printer is busy with { $command ->
    [emergency_stop] emergency stop
   *[other] { $command }
}. Wait until that has ended.
refusal-files-being-changed = The files of this printer are being changed. Wait until that has ended.
refusal-printer-refused = The printer refused: { $text }.
refusal-too-many-webhooks = There are { $limit } webhooks, which is the limit. Remove one first.
refusal-event-not-visible = The event is no longer stored, or the webhook's owner may no longer see it.
refusal-no-camera = This printer has no camera.
refusal-no-picture = No picture: { $cause }
refusal-file-too-large = Files can have at most 1 GiB.
wait-due-time = Waiting until the batch is due.
wait-in-flight-limit = Waiting until fewer commands of the batch are in flight.
wait-interval = Waiting for the delay between two commands of the batch.
wait-heating-limit = Waiting until fewer printers of the power group heat.
wait-reply = Waiting for the printer, which does not reply.
wait-transient-state = Waiting until the printer has left a transient state.
wait-turn = Waiting for earlier commands to this printer.
wait-transfer = Waiting until the printer has the file.

not-found-batch = There is no such batch.
not-found-camera = This printer has no camera.
not-found-delivery = There is no such delivery.
not-found-file = There is no such file.
not-found-print = There is no such print.
not-found-printer = There is no such printer.
not-found-session = There is no such session.
not-found-single-sign-on = Single sign-on is not set up here.
not-found-token = There is no such token.
not-found-user = There is no such user.
not-found-webhook = There is no such webhook.
not-found-thumbnail = This file contains no picture.

refusal-invalid = The request breaks a rule.
refusal-selection-changed = { $total ->
    [one] { $total } printer is selected now. Nothing was created.
   *[other] { $total } printers are selected now. Nothing was created.
}
refusal-cursor-expired = The feed cannot continue from this cursor: the events after it are no longer stored, or a backup was restored. Read the lists again, then continue with restart_cursor (the oldest stored event) or with after_time.
refusal-stale = It was changed in the meantime. Read it again, then change the new version.
refusal-too-many-attempts = Too many attempts. Wait { $seconds } s, then try again.
refusal-superseded = Another server has taken over the farm. Use that server.
refusal-database-unavailable = The database is not available; /readyz says why. The change may have been made. Send the request again with the same Idempotency-Key.
refusal-internal = An internal error occurred. The log of the server has the cause under this request id.
refusal-unknown-format = This is not a G-code file. Upload .gcode, .bgcode or a sliced .gcode.3mf file.
refusal-empty-file = The file is empty.
refusal-3mf-not-sliced = This 3MF project contains no G-code. Slice it first, then export the plate as .gcode.3mf.
refusal-3mf-several-plates = This 3MF project contains { $plates } sliced plates. Export each plate as a file of its own.
refusal-damaged-file = The file is damaged: { $cause }. Export it again.
refusal-files-quota = The library is full: its limit is { $gigabytes } GB. Remove files that are no longer needed, or raise PRINTYARD_FILES_QUOTA_GB.
refusal-disk-full = The disk of the server is full. Free some space, then upload the file again.
refusal-content-missing = The data folder of the server does not contain this file. Restore the folder, or upload the file again.
refusal-file-being-changed = Other requests are changing this file. Try again.
refusal-file-name-taken = This folder already contains a file with this name.
refusal-file-in-use = A batch that has not ended needs this file. Wait for its end, or stop it.
refusal-upload-failed = The file could not be sent to the printer. { $cause }
refusal-out-of-service = The printer is out of service. Return it to service first.
refusal-out-of-service-note = Out of service: { $note }
refusal-out-of-service-until = Out of service, expected back { $until }.
refusal-out-of-service-note-until = Out of service, expected back { $until }: { $note }
refusal-not-started-again = The print was cancelled and not started again. { $why }
refusal-demo-not-printing = This printer does not print, so nothing changed. Select a printer that prints.
refusal-order-conflict = Another order has this source, external_ref and line, with other content.
refusal-order-being-made = Other requests are making this order now. Try again in a few seconds.
refusal-order-ended = The order has ended.
refusal-no-printer-can = No printer can make this order. Check its models and requirements.
refusal-models-required = File { $position } names no printer model. State its models.
refusal-copy-not-finished = The copy is not finished, so it cannot be judged.
refusal-copy-running = The printer of this copy replies. Cancel the print, or wait until it has ended.
refusal-copy-ended = The copy has ended. It cannot be given up.
not-found-part = There is no such part.
not-found-order = There is no such order.
not-found-copy = There is no such copy.
refusal-plan-switch-limited = only a user without a tag limit can stop or resume the planner: the switch is for the whole farm
