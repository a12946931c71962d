webhook-add-webhook = Webhook hinzufügen
webhook-address-receiver = Adresse des Empfängers
webhook-again = Noch einmal
webhook-attempt = { $n ->
    [one] { $n } Versuch
   *[other] { $n } Versuche
}
webhook-event = Ereignis
webhook-events = Ereignisse
webhook-events-none-selected = Ereignisse (keine gewählt = alle)
webhook-everything = allem
webhook-failing-since = Scheitert seit
webhook-former-secret-signs-until = Das frühere Geheimnis signiert bis
webhook-given-up = aufgegeben
webhook-last-error = Letzter Fehler
webhook-last-success = Letzter Erfolg
webhook-new-secret = Neues Geheimnis
webhook-next = das nächste Mal am
webhook-not-taken = nicht angenommen
webhook-one-time-order = eins nach dem anderen, in der Reihenfolge
webhook-one-time-order-event = Eins nach dem anderen, in der Reihenfolge: ein Ereignis, das nicht angenommen wird, hält die folgenden auf
webhook-remove = Entfernen
webhook-remove-webhook = Webhook entfernen
webhook-result = Ergebnis
webhook-secret-verifies-signatures-shown = Das Geheimnis, mit dem { $url } die Signaturen prüft. Es wird nur dieses eine Mal gezeigt:
webhook-send-again = Noch einmal senden
webhook-send-test = Test senden
webhook-sent = zu senden
webhook-sent-2 = Zu senden
webhook-sent-again = noch einmal zu senden
webhook-switch = Einschalten
webhook-switch-off = Ausschalten
webhook-switched-off = Ausgeschaltet.
webhook-switched-off-nothing-got = Ausgeschaltet: tagelang kam nichts an.
webhook-switched-off-receiver-said = Ausgeschaltet: sein Empfänger hat gesagt, dass es ihn nicht mehr gibt.
webhook-taken = angenommen
webhook-there-none-yet-webhook = Noch gibt es keine. Ein Webhook erzählt einem anderen Programm, etwa einem ERP-System, was auf der Farm geschieht.
webhook-took-test-within-ms = { $url } hat den Test binnen { $ms } ms angenommen.
webhook-webhooks = Webhooks
webhook-what = Wofür
webhook-what-not-sent-yet = Was noch nicht gesendet ist, wird nicht mehr gesendet.
