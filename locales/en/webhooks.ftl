webhook-action = Action
webhook-add = Add webhook
webhook-all-events = all
webhook-attempts = { $n ->
    [one] { $n } attempt
   *[other] { $n } attempts
}
webhook-change-secret = Change secret
webhook-description = Description
webhook-disable = Disable
webhook-disabled = Disabled.
webhook-disabled-failing = Disabled: no event was delivered for days. Check the receiver, then enable the webhook.
webhook-disabled-gone = Disabled: the receiver reported that it no longer exists (410). If it exists, enable the webhook.
webhook-empty = No webhooks yet. A webhook sends events of the farm to another program, such as an ERP system.
webhook-enable = Enable
webhook-event = Event
webhook-events = Events
webhook-events-none-selected = Events (none selected = all)
webhook-failing-since = Failing since
webhook-last-error = Last error
webhook-last-success = Last success
webhook-next-attempt = next attempt
webhook-old-secret-until = Old secret valid until
webhook-ordered = one at a time, in order
webhook-ordered-label = Send one at a time, in order: an undelivered event holds up later ones
webhook-pending-count = Pending events
webhook-receiver-address = Receiver address
webhook-remove = Remove
webhook-remove-button = Remove webhook
webhook-remove-effect = Pending events are not sent.
webhook-result = Result
webhook-secret-shown-once = Signing secret of { $url }. Copy it now: it is shown only once.
webhook-send-again = Send again
webhook-send-test = Send test
webhook-state-abandoned = given up
webhook-state-delivered = delivered
webhook-state-failed = failed
webhook-state-pending = pending
webhook-state-retrying = failed, will be retried
webhook-test-accepted = { $url } accepted the test event within { $ms } ms.
webhook-title = Webhooks
