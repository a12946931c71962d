webhook-add-webhook = Add a webhook
webhook-address-receiver = Address of the receiver
webhook-again = Again
webhook-attempt = { $n ->
    [one] { $n } attempt
   *[other] { $n } attempts
}
webhook-event = Event
webhook-events = Events
webhook-events-none-selected = Events (none selected = all)
webhook-everything = everything
webhook-failing-since = Failing since
webhook-former-secret-signs-until = The former secret signs until
webhook-given-up = given up
webhook-last-error = Last error
webhook-last-success = Last success
webhook-new-secret = New secret
webhook-next = next at
webhook-not-taken = not taken
webhook-one-time-order = one at a time, in order
webhook-one-time-order-event = One at a time, in order: an event that is not taken holds up those behind it
webhook-remove = Remove
webhook-remove-webhook = Remove the webhook
webhook-result = Result
webhook-secret-verifies-signatures-shown = The secret with which { $url } verifies signatures. It is shown this once:
webhook-send-again = Send again
webhook-send-test = Send a test
webhook-sent = to be sent
webhook-sent-2 = To be sent
webhook-sent-again = to be sent again
webhook-switch = Switch on
webhook-switch-off = Switch off
webhook-switched-off = Switched off.
webhook-switched-off-nothing-got = Switched off: nothing got through for days.
webhook-switched-off-receiver-said = Switched off: its receiver said that it is gone for good.
webhook-taken = taken
webhook-there-none-yet-webhook = There are none yet. A webhook tells another program, an ERP system say, of what happens on the farm.
webhook-took-test-within-ms = { $url } took the test within { $ms } ms.
webhook-webhooks = Webhooks
webhook-what = What for
webhook-what-not-sent-yet = What was not sent yet is not sent any more.
