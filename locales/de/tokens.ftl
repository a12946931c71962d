# Die Seite der API-Tokens.
token-title = API-Tokens
token-intro = Programme wie ein ERP-System, ein Slicer oder ein Skript melden sich mit einem Token an.
token-none = Es gibt noch keine Tokens.
token-more = Ältere Tokens werden nicht angezeigt. Die API listet alle auf.
token-created = Erstellt
token-by = von { $name }
token-last-used = Zuletzt benutzt
token-expires = Läuft ab
token-expired = abgelaufen
token-create = Token erstellen
token-lifetime = Gültigkeit
token-never-expires = Läuft nicht ab
token-days = { $n ->
    [one] { $n } Tag
   *[other] { $n } Tage
}
token-requires-key = Jede ändernde Anfrage muss einen Idempotency-Key haben
token-requires-key-short = verlangt Idempotency-Key
token-secret-shown-once = Das Token „{ $name }“ wurde erstellt. Kopieren Sie sein Geheimnis jetzt. Es wird nicht noch einmal angezeigt:
token-revoke = Widerrufen
token-revoke-effect = Das Token wird sofort ungültig. Programme, die es benutzen, werden abgewiesen. Das lässt sich nicht rückgängig machen.
token-revoke-confirm = Kein Programm braucht dieses Token
token-revoke-button = Token widerrufen
token-revoke-unconfirmed = Bestätigen Sie, dass kein Programm das Token „{ $name }“ braucht. Es wurde nicht widerrufen.
