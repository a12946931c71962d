notice-database-disk = The disk of the database is full or does not work. Printyard cannot send commands or record prints; running prints continue. Free some space, or replace the disk. Printyard then continues by itself.
notice-database-locked = Another program has locked the database. Printyard cannot send commands or record prints; running prints continue. Close that program (a backup or a database tool). Printyard then continues by itself.
notice-database-refuses = The database refuses to store anything. Printyard cannot send commands or record prints; running prints continue. See the server's log for the cause.
notice-database-replaced = The database file was deleted, moved or replaced. Printyard cannot send commands or record prints; running prints continue. Put the file back, or restart the server with the right one.
notice-database-unreachable = The database does not answer. Printyard cannot send commands or record prints; running prints continue. Check the database and its disk. Printyard then continues by itself.
notice-dispatcher-hangs = No commands are sent: the dispatcher does not respond. Restart the server; waiting commands are kept.
notice-not-sending = This server sends no commands: it lost the lock of the farm. Running prints continue. It takes the lock again by itself; if this lasts, check the database.
notice-recorder-behind = Prints are recorded late, so plates and lists of prints may be out of date. If this lasts, check the database and its disk.
