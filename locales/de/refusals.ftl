# Warum eine Anfrage abgelehnt wurde und warum ein Befehl wartet.
refusal-prints-not-stored = Die neuesten Drucke sind noch nicht gespeichert. Versuchen Sie es in ein paar Sekunden erneut.
refusal-many-logins = Gerade melden sich viele Benutzer an. Versuchen Sie es in ein paar Sekunden erneut.
refusal-batch-has-hidden-printers = Zu diesem Sammelbefehl gehören auch Drucker, die Sie nicht sehen dürfen. Deshalb können Sie ihn nicht anhalten.
refusal-needs-operator-check = Die Befehle wurden vielleicht ausgeführt. Prüfen Sie die Drucker und bestätigen Sie das beim Wiederholen.
refusal-batch-not-finished = Der Sammelbefehl ist noch nicht fertig. Warten Sie darauf, oder halten Sie ihn an.
refusal-no-such-outcome = Kein Befehl dieses Sammelbefehls endete mit einem dieser Ergebnisse.
refusal-too-many-scheduled = Sie haben 100 geplante Sammelbefehle. Mehr darf ein Benutzer oder Token nicht haben. Halten Sie zuerst einen an.
refusal-too-many-own-batches = Sie haben zu viele unfertige Sammelbefehle. Warten Sie, bis einige fertig sind, oder halten Sie sie an.
refusal-too-many-batches = Der Server hat zu viele unfertige Sammelbefehle. Warten Sie, bis einige fertig sind, oder halten Sie sie an.
refusal-server-stops = Der Server wird beendet. Senden Sie die Anfrage erneut, wenn er gestartet ist.
refusal-nothing-selected = Die Auswahl trifft auf keinen Drucker zu.
refusal-access-unreadable = Die gespeicherte Adresse, der API-Schlüssel oder die Proxy-Einstellungen sind nicht lesbar. Geben Sie sie neu ein.
refusal-dispatcher-silent = Der Dispatcher antwortet nicht. Versuchen Sie es in ein paar Sekunden erneut.
refusal-too-many-own-uploads = Sie haben zu viele Uploads gleichzeitig. Warten Sie, bis einer fertig ist.
refusal-too-many-uploads = Der Server hat zu viele Uploads gleichzeitig. Warten Sie, bis einer fertig ist.
refusal-no-upload-space = Der Server hat gerade keinen Platz für einen weiteren Upload. Warten Sie, bis einer fertig ist.
refusal-too-many-key-requests = Es sind zu viele Schlüsselanfragen offen. Versuchen Sie es in ein paar Minuten erneut.
refusal-token-has-no-password = Sie verwenden ein Token. Es hat kein Passwort.
refusal-last-admin = Das ist der letzte Admin, der sich anmelden kann. Legen Sie zuerst einen weiteren an.
refusal-user-name-taken = Ein anderer Benutzer hat diesen Namen.
refusal-printer-name-taken = Ein anderer Drucker hat diesen Namen.
refusal-printer-url-taken = Ein anderer Drucker hat diese Adresse.
refusal-dispatcher-waits = Der Dispatcher wartet auf die Datenbank. Versuchen Sie es in ein paar Sekunden erneut.
refusal-already-printing = Der Drucker hat einen Auftrag. Warten Sie, bis er beendet ist.
refusal-file-type = OctoPrint nimmt keine Dateien mit dieser Endung an.
refusal-expired = Die Frist des Befehls war abgelaufen, bevor er gesendet werden konnte.
refusal-account-changes = Ihr Konto wird gerade geändert. Versuchen Sie es in ein paar Sekunden erneut.
refusal-role = Ihre Rolle erlaubt das nicht.
refusal-whole-farm = Ein auf Tags beschränktes Token darf keine Zahlen der ganzen Farm sehen.
refusal-idempotency-key-reused = Dieser Idempotency-Key wurde für eine andere Anfrage benutzt. Nehmen Sie für jede Anfrage einen neuen.
refusal-request-in-progress = Die erste Anfrage mit diesem Idempotency-Key läuft noch. Senden Sie die Anfrage später erneut.
refusal-not-tried = Nicht versucht: Die Datenbank fiel vorher in dieser Anfrage aus.
refusal-printer-keeps-changing = Andere Anfragen ändern diesen Drucker ständig. Versuchen Sie es erneut.
refusal-too-many-deliveries = Es sind zu viele Anfragen an Empfänger offen. Versuchen Sie es in einer Minute erneut.
refusal-webhook-disabled = Der Webhook ist deaktiviert. Aktivieren Sie ihn zuerst.
refusal-event-expired = Das Ereignis ist nicht mehr gespeichert.

refusal-command-in-flight = Ein anderer Befehl an diesen Drucker ist noch nicht beendet: { $command ->
    [start] Starten
    [pause] Pausieren
    [resume] Fortsetzen
    [cancel] Abbrechen
    [restart] Neustart
    [toggle] Umschalten
    [connect] Verbinden
    [disconnect] Trennen
    [emergency_stop] Not-Halt
   *[other] { $command }
}.
refusal-emergency-stop-not-connected = OctoPrint ist nicht mit dem Drucker verbunden, der Not-Halt erreicht ihn nicht. Der Drucker kann weiter heizen oder fahren: Schalten Sie ihn am Netzschalter aus.
refusal-waited-for-command = Ein anderer Befehl an diesen Drucker dauerte länger, als dieser Befehl warten darf.
refusal-printer-busy = Der Drucker ist beschäftigt ({ $command ->
    [start] Starten
    [pause] Pausieren
    [resume] Fortsetzen
    [cancel] Abbrechen
    [restart] Neustart
    [toggle] Umschalten
    [connect] Verbinden
    [disconnect] Trennen
    [emergency_stop] Not-Halt
   *[other] { $command }
}). Warten Sie, bis das beendet ist.
refusal-files-being-changed = Die Dateien dieses Druckers werden gerade geändert. Warten Sie, bis das beendet ist.
refusal-printer-refused = Der Drucker lehnte ab: { $text }.
refusal-too-many-webhooks = Es gibt { $limit } Webhooks, mehr sind nicht möglich. Entfernen Sie zuerst einen.
refusal-event-not-visible = Das Ereignis ist nicht mehr gespeichert, oder der Besitzer des Webhooks darf es nicht mehr sehen.
refusal-no-camera = Dieser Drucker hat keine Kamera.
refusal-no-picture = Kein Bild: { $cause }
refusal-file-too-large = Dateien dürfen höchstens 1 GiB groß sein.
wait-due-time = Wartet, bis der Sammelbefehl fällig ist.
wait-in-flight-limit = Wartet, bis weniger Befehle des Sammelbefehls unterwegs sind.
wait-interval = Wartet den Abstand zwischen zwei Befehlen des Sammelbefehls ab.
wait-heating-limit = Wartet, bis weniger Drucker der Stromkreis-Gruppe heizen.
wait-reply = Wartet auf den Drucker, der nicht antwortet.
wait-transient-state = Wartet, bis der Drucker einen Übergangszustand verlassen hat.
wait-turn = Wartet auf frühere Befehle an diesen Drucker.
wait-transfer = Wartet, bis der Drucker die Datei hat.

not-found-batch = Diesen Sammelbefehl gibt es nicht.
not-found-camera = Dieser Drucker hat keine Kamera.
not-found-delivery = Diese Zustellung gibt es nicht.
not-found-file = Diese Datei gibt es nicht.
not-found-print = Diesen Druck gibt es nicht.
not-found-printer = Diesen Drucker gibt es nicht.
not-found-session = Diese Sitzung gibt es nicht.
not-found-single-sign-on = Single Sign-on ist hier nicht eingerichtet.
not-found-token = Dieses Token gibt es nicht.
not-found-user = Diesen Benutzer gibt es nicht.
not-found-webhook = Diesen Webhook gibt es nicht.
not-found-thumbnail = Diese Datei enthält kein Bild.

refusal-invalid = Die Anfrage verletzt eine Regel.
refusal-selection-changed = { $total ->
    [one] Jetzt ist { $total } Drucker ausgewählt. Es wurde nichts angelegt.
   *[other] Jetzt sind { $total } Drucker ausgewählt. Es wurde nichts angelegt.
}
refusal-cursor-expired = Der Feed kann an diesem Cursor nicht weitergehen: Die Ereignisse danach sind nicht mehr gespeichert, oder eine Sicherung wurde eingespielt. Lesen Sie die Listen neu und setzen Sie mit restart_cursor (dem ältesten gespeicherten Ereignis) oder after_time fort.
refusal-stale = Es wurde inzwischen geändert. Laden Sie es neu und ändern Sie dann den neuen Stand.
refusal-too-many-attempts = Zu viele Versuche. Warten Sie { $seconds } s und versuchen Sie es erneut.
refusal-superseded = Ein anderer Server hat die Farm übernommen. Benutzen Sie den anderen Server.
refusal-database-unavailable = Die Datenbank ist nicht erreichbar; /readyz nennt den Grund. Die Änderung kann trotzdem erfolgt sein. Senden Sie die Anfrage mit demselben Idempotency-Key erneut.
refusal-internal = Ein interner Fehler ist aufgetreten. Das Log des Servers nennt die Ursache unter dieser Anfrage-ID.
refusal-unknown-format = Das ist keine G-Code-Datei. Laden Sie eine .gcode-, .bgcode- oder geslicte .gcode.3mf-Datei hoch.
refusal-empty-file = Die Datei ist leer.
refusal-3mf-not-sliced = Dieses 3MF-Projekt enthält keinen G-Code. Slicen Sie es, und exportieren Sie die Platte als .gcode.3mf.
refusal-3mf-several-plates = Dieses 3MF-Projekt enthält { $plates } geslicte Platten. Exportieren Sie jede Platte als eigene Datei.
refusal-damaged-file = Die Datei ist beschädigt: { $cause }. Exportieren Sie sie noch einmal.
refusal-files-quota = Die Bibliothek ist voll: Ihre Grenze ist { $gigabytes } GB. Entfernen Sie Dateien, die nicht mehr gebraucht werden, oder erhöhen Sie PRINTYARD_FILES_QUOTA_GB.
refusal-disk-full = Die Festplatte des Servers ist voll. Schaffen Sie Platz, und laden Sie die Datei noch einmal hoch.
refusal-content-missing = Der Datenordner des Servers enthält diese Datei nicht. Stellen Sie den Ordner wieder her, oder laden Sie die Datei noch einmal hoch.
refusal-file-being-changed = Andere Anfragen ändern diese Datei gerade. Versuchen Sie es noch einmal.
refusal-file-name-taken = Dieser Ordner enthält schon eine Datei mit diesem Namen.
refusal-file-in-use = Ein Sammelbefehl, der noch läuft, braucht diese Datei. Warten Sie auf sein Ende, oder stoppen Sie ihn.
refusal-upload-failed = Die Datei konnte nicht an den Drucker gesendet werden. { $cause }
refusal-out-of-service = Der Drucker ist außer Betrieb. Nehmen Sie ihn zuerst wieder in Betrieb.
refusal-out-of-service-note = Außer Betrieb: { $note }
refusal-out-of-service-until = Außer Betrieb, voraussichtlich zurück: { $until }.
refusal-out-of-service-note-until = Außer Betrieb, voraussichtlich zurück: { $until }. { $note }
refusal-not-started-again = Der Druck wurde abgebrochen und nicht neu gestartet. { $why }
refusal-demo-not-printing = Dieser Drucker druckt nicht, daher hat sich nichts geändert. Wählen Sie einen Drucker, der druckt.
refusal-order-conflict = Ein anderer Auftrag hat diese Werte für source, external_ref und line, mit anderem Inhalt.
refusal-order-being-made = Andere Anfragen legen diesen Auftrag gerade an. Versuchen Sie es in einigen Sekunden erneut.
refusal-order-ended = Der Auftrag ist beendet.
refusal-no-printer-can = Kein Drucker kann diesen Auftrag drucken. Prüfen Sie Modelle und Anforderungen.
refusal-models-required = Datei { $position } nennt kein Druckermodell. Geben Sie ihre Modelle an.
refusal-copy-not-finished = Das Exemplar ist nicht fertig gedruckt und kann daher nicht beurteilt werden.
refusal-copy-running = Der Drucker dieses Exemplars antwortet. Brechen Sie den Druck ab, oder warten Sie auf sein Ende.
refusal-copy-ended = Das Exemplar ist beendet. Es kann nicht verloren gegeben werden.
not-found-part = Dieses Teil gibt es nicht.
not-found-order = Diesen Auftrag gibt es nicht.
not-found-copy = Dieses Exemplar gibt es nicht.
refusal-plan-switch-limited = nur Benutzer ohne Beschränkung auf Tags können den Planer anhalten oder fortsetzen: Der Schalter gilt für die ganze Farm
