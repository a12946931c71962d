;Sliced by ideaMaker 5.1.4.8480, 2024-10-01 13:20:31 UTC+0200
;Profile Name: Standard
;Dimension: 305.000 305.000 605.000 0.400 0.600
;Plate Shape: 0
;Origin Center: 0
;Extruder Offset #1: 0.000 0.000
;Extruder Offset #2: 25.000 0.000
;Filament Diameter #1: 1.750
;Filament Diameter #2: 1.750
;Filament Compensation #1: 94.000
;Filament Type #1: PLA
;Filament Type #2: PVA
;Filament Density #1: 1240.000
;Filament Name #1: [Raise3D] PLA
;Bounding Box: 127.500 177.500 127.500 177.500 0.000 50.000
;Printer Type: RAISE3D Pro2 Plus
;THUMBNAIL
; thumbnail begin 16x16 108
; iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAF0lEQVR4nGP438BAEiJN9aiGUQ1DSg
; MAnHV/EBlpJJcAAAAASUVORK5CYII=
; thumbnail end
;

M82
T0
G28
G1 X20 Y10 Z0.3 F1200
G1 X145 Y10 E20
G92 E0
;LAYER:0
;Z:0.3
;HEIGHT:0.3
;PRINTING: part-a.stl
;PRINTING_ID: 0
G1 X127.5 Y127.5
;TYPE:SHELL
G1 X177.5 Y127.5 E2.5
;LAYER:1
;Z:0.5
;HEIGHT:0.2
;PRINTING: part-b.stl
;PRINTING_ID: 1
G1 X177.5 Y177.5 Z0.5 E5
;PRINTING_ID: -1
M84
;Print Time: 5023
;Material#1 Used: 868.0
;Material#2 Used: 0.0
