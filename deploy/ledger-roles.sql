-- Roles for a ledger whose owner (`ledger`) only migrates, backs up and restores. Run it as a superuser in the ledger's
-- database, after the first migration; it may be run again:
--     psql --dbname ledger --file deploy/ledger-roles.sql
-- then make logins:  CREATE ROLE evergreen_tasks LOGIN PASSWORD '...' IN ROLE evergreen_worker;
-- and give tasks that one (EVERGREEN_LEDGER_URL, EVERGREEN_LEDGER_USER), the api-server one in evergreen_reader.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN
        CREATE ROLE evergreen_worker NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_reader') THEN
        CREATE ROLE evergreen_reader NOLOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO evergreen_worker, evergreen_reader', current_database());
END
$$;

-- The pages, the metrics, `evergreen history`: read.
GRANT USAGE ON SCHEMA public TO evergreen_worker, evergreen_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO evergreen_worker, evergreen_reader;

-- Tasks: read, and add. History (verdicts, snapshots, comparisons, decisions, deployments, predictions, losses, checks)
-- is never changed or deleted by them, because they cannot.
GRANT INSERT ON ALL TABLES IN SCHEMA public TO evergreen_worker;
REVOKE INSERT ON alembic_version FROM evergreen_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO evergreen_worker;

-- What a task may change of a row, column by column: how far a training run is, whether a mail was sent, ...
GRANT UPDATE (rows, landed_again_at) ON partition_version TO evergreen_worker;
GRANT UPDATE (landed_again_at) ON reference_version TO evergreen_worker;
GRANT UPDATE (state, candidate, params, metrics, mlflow_run_id, version, code_hash, search, decision, finished_at) ON training_run TO evergreen_worker;
GRANT UPDATE (attempts, last_error, sent_at) ON alert TO evergreen_worker;
GRANT UPDATE (acted_at) ON sighting TO evergreen_worker;
GRANT UPDATE (released_at) ON label_hold TO evergreen_worker;
GRANT UPDATE (done_at, kept_at) ON collection TO evergreen_worker;
GRANT UPDATE (last_at, partitions, told, told_at, mails, well_at, well, closed_at) ON incident TO evergreen_worker;
GRANT UPDATE (resolved_at, how) ON incident_occurrence TO evergreen_worker;
GRANT UPDATE (type, secret, attempts, last_error, sent_at, given_up_at) ON alert_delivery TO evergreen_worker;
GRANT UPDATE (ended_at, ended_by, summed_at) ON silence TO evergreen_worker;

-- Tables of later migrations.
ALTER DEFAULT PRIVILEGES FOR ROLE ledger IN SCHEMA public GRANT SELECT ON TABLES TO evergreen_worker, evergreen_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE ledger IN SCHEMA public GRANT INSERT ON TABLES TO evergreen_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE ledger IN SCHEMA public GRANT USAGE ON SEQUENCES TO evergreen_worker;
