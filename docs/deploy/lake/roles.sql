-- A team's roles in the database of the lakes, with least rights; run it as an administrator, once a team:
--
--     LOADER_PASSWORD=… READER_PASSWORD=… psql --dbname=threads -v team=team_a -f roles.sql
--
-- (psql 14 or newer; passwords come from the environment, which no list of processes shows.)
-- <team>_loader owns what it makes: the schema <team>, and <team>_replay while a replay fills it.
-- <team>_reader reads these schemas, writes nothing, and sees no other team's.
\set ON_ERROR_STOP on
\getenv loader LOADER_PASSWORD
\getenv reader READER_PASSWORD
\set loader_role :team _loader
\set reader_role :team _reader
SELECT current_database() AS base \gset

-- No statement with a password goes into the server's log, failed ones neither.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';

REVOKE ALL ON DATABASE :"base" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE ROLE :"loader_role" LOGIN PASSWORD :'loader';
CREATE ROLE :"reader_role" LOGIN PASSWORD :'reader';
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE :"base" TO :"loader_role";
GRANT CONNECT ON DATABASE :"base" TO :"reader_role";

-- A load may take longer than a server lets transactions be idle; a reader's queries end some time.
ALTER ROLE :"loader_role" SET idle_in_transaction_session_timeout = 0;
ALTER ROLE :"reader_role" SET default_transaction_read_only = on;
ALTER ROLE :"reader_role" SET statement_timeout = '10min';

-- What the loader will make, the reader may read.
ALTER DEFAULT PRIVILEGES FOR ROLE :"loader_role" GRANT USAGE ON SCHEMAS TO :"reader_role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"loader_role" GRANT SELECT ON TABLES TO :"reader_role";
