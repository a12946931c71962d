notice-another-program-locked-database = Ein anderes Programm sperrt die Datenbank. Befehle und Aufzeichnung ruhen; laufende Drucke gehen weiter. Dieses Programm schließen (eine Sicherung, ein Datenbankwerkzeug): Printyard macht von selbst weiter.
notice-database-does-not-answer = Die Datenbank antwortet nicht. Befehle und Aufzeichnung ruhen; laufende Drucke gehen weiter. Datenbank und Datenträger prüfen: Printyard macht von selbst weiter.
notice-database-file-deleted-moved = Die Datenbankdatei wurde gelöscht, verschoben oder ersetzt. Befehle und Aufzeichnung ruhen; laufende Drucke gehen weiter. Die Datei zurückbringen oder den Server mit der richtigen neu starten.
notice-database-refuses-store-anything = Die Datenbank nimmt nichts an. Befehle und Aufzeichnung ruhen; laufende Drucke gehen weiter. Die Ursache steht im Log des Servers.
notice-disk-database-full-does = Der Datenträger der Datenbank ist voll oder defekt. Befehle und Aufzeichnung ruhen; laufende Drucke gehen weiter. Platz schaffen: Printyard macht von selbst weiter.
notice-no-commands-sent-dispatcher = Befehle werden nicht gesendet: der Verteiler reagiert nicht. Den Server neu starten; wartende Befehle bleiben erhalten.
notice-prints-recorded-late-so = Drucke werden verspätet aufgezeichnet, daher können Druckplatten und Drucklisten veraltet sein. Falls das anhält: Datenbank und Datenträger prüfen.
notice-server-sends-no-commands = Dieser Server sendet keine Befehle: Er hat die Sperre der Farm verloren. Laufende Drucke gehen weiter. Er holt sie von selbst zurück; falls das anhält, die Datenbank prüfen.
