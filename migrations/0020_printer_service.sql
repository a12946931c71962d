-- Whether a printer takes prints: in_service, draining or out_of_service. Printers that exist already are in service.
alter table printers add column service text not null default 'in_service';
alter table printers add column service_until timestamptz;
alter table printers add column service_note text;
