notice-another-program-locked-database = Another program has locked the database. Nothing can be commanded or recorded; running prints continue. Close that program (a backup, a database tool): Printyard continues by itself.
notice-database-does-not-answer = The database does not answer. Nothing can be commanded or recorded; running prints continue. Check the database and its disk: Printyard continues by itself.
notice-database-file-deleted-moved = The database file was deleted, moved or replaced. Nothing can be commanded or recorded; running prints continue. Bring the file back, or restart the server with the right one.
notice-database-refuses-store-anything = The database refuses to store anything. Nothing can be commanded or recorded; running prints continue. The server's log has the cause.
notice-disk-database-full-does = The disk of the database is full or does not work. Nothing can be commanded or recorded; running prints continue. Free some space: Printyard continues by itself.
notice-no-commands-sent-dispatcher = No commands are sent: the dispatcher does not respond. Restart the server; waiting commands are kept.
notice-prints-recorded-late-so = Prints are recorded late, so plates and lists of prints may be out of date. If this lasts, check the database and its disk.
notice-server-sends-no-commands = This server sends no commands: it lost the lock of the farm. Running prints continue. It takes the lock again by itself; if this lasts, check the database.
