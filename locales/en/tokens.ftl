# The page of API tokens.
token-title = API tokens
token-intro = Programs such as an ERP system, a slicer or a script log in with a token.
token-none = There are no tokens yet.
token-more = Older tokens are not shown. The API lists all of them.
token-created = Created
token-by = by { $name }
token-last-used = Last used
token-expires = Expires
token-expired = expired
token-create = Create token
token-lifetime = Lifetime
token-never-expires = Does not expire
token-days = { $n ->
    [one] { $n } day
   *[other] { $n } days
}
token-requires-key = Require an Idempotency-Key with every request that changes something
token-requires-key-short = requires Idempotency-Key
token-secret-shown-once = The token “{ $name }” was created. Copy its secret now. It is not shown again:
token-revoke = Revoke
token-revoke-effect = The token becomes invalid at once. Programs that use it are refused. This cannot be undone.
token-revoke-confirm = No program needs this token
token-revoke-button = Revoke token
token-revoke-unconfirmed = Confirm that no program needs the token “{ $name }”. It was not revoked.
