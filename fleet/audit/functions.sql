-- What the audit log does inside PostgreSQL. Applied by fleet.audit.triggers at every migration; docs/audit.md says why.
--
-- What runs for each row carries no SET search_path: that alone would double its time. It names the schema of all that is
-- ours instead; a role that may create functions nowhere (fleet.audit.privileges) can put nothing in the place of the rest.

-- One field of what is hashed: its length in bytes, a colon, its UTF-8; "-" for none.
CREATE OR REPLACE FUNCTION audit_field(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value IS NULL THEN '-' ELSE octet_length(value) || ':' || value END
$$;

-- SHA-256 of all that an entry says. fleet.audit.chain computes the same in Python.
CREATE OR REPLACE FUNCTION audit_digest(entry audit_entries) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(
        'preau-audit-1'
        || public.audit_field(entry.transaction_id::text)
        || public.audit_field(to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        || public.audit_field(entry.actor_kind)
        || public.audit_field(entry.actor_id)
        || public.audit_field(entry.actor_name)
        || public.audit_field(entry.address)
        || public.audit_field(entry.request_id)
        || public.audit_field(entry.operation)
        || public.audit_field(entry.database_user)
        || public.audit_field(entry.action)
        || public.audit_field(entry.table_name)
        || public.audit_field(entry.row_id)
        || public.audit_field(entry.subject)
        || public.audit_field(entry.collectivity_id::text)
        || public.audit_field(entry.school_id::text)
        || public.audit_field(entry.before::text)
        || public.audit_field(entry.after::text),
        'UTF8'))
$$;

-- BEFORE INSERT on audit_entries: who writes one chooses neither its time, nor its transaction, nor its actor.
CREATE OR REPLACE FUNCTION audit_stamp() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    actor jsonb := nullif(current_setting('preau.actor', true), '')::jsonb;
    role text := current_setting('role', true);
BEGIN
    NEW.at := clock_timestamp();
    NEW.transaction_id := pg_current_xact_id()::text::bigint;
    NEW.database_user := session_user || CASE WHEN role IN ('', 'none') THEN '' ELSE '/' || role END;
    IF actor IS NULL THEN  -- not our program: a person with psql, a script
        NEW.actor_kind := 'unknown';
        NEW.actor_id := NULL;
        NEW.actor_name := session_user;
        NEW.address := host(inet_client_addr());
        NEW.request_id := NULL;
        NEW.operation := nullif(current_setting('application_name'), '');
    ELSE
        NEW.actor_kind := coalesce(actor->>'kind', 'unknown');
        NEW.actor_id := actor->>'id';
        NEW.actor_name := actor->>'name';
        NEW.address := actor->>'address';
        NEW.request_id := actor->>'request';
        NEW.operation := actor->>'operation';
    END IF;
    NEW.digest := public.audit_digest(NEW);
    RETURN NEW;
END
$$;

-- The nodes that own a row, as it says itself (see fleet.audit.tables.Owner).
CREATE OR REPLACE FUNCTION audit_owner(row_ jsonb, mode text, OUT collectivity uuid, OUT school uuid)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF mode = 'none' THEN
        RETURN;
    END IF;
    collectivity := row_->>(CASE mode WHEN 'collectivity' THEN 'id' ELSE 'collectivity_id' END);
    school := row_->>(CASE mode WHEN 'school' THEN 'id' ELSE 'school_id' END);
    IF collectivity IS NULL AND school IS NULL AND row_->>'device_id' IS NOT NULL THEN
        SELECT device.school_id INTO school FROM public.devices device WHERE device.id = (row_->>'device_id')::uuid;
    END IF;
    IF collectivity IS NULL AND school IS NOT NULL THEN
        SELECT place.collectivity_id INTO collectivity FROM public.schools place WHERE place.id = school;
    END IF;
END
$$;

-- What an entry tells of a row: the given columns, masked ones by that name only.
CREATE OR REPLACE FUNCTION audit_told(row_ jsonb, wanted text[], masked text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY (masked) AND value <> 'null' THEN '"***"' ELSE value END)
    FROM jsonb_each(row_) WHERE key = ANY (wanted)
$$;

-- AFTER INSERT, UPDATE or DELETE of each audited row. Arguments: key columns, label column, owner, masked, ignored.
CREATE OR REPLACE FUNCTION audit_note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    masked text[] := string_to_array(TG_ARGV[3], ',');
    ignored text[] := string_to_array(TG_ARGV[4], ',');
    was jsonb;
    becomes jsonb;
    present jsonb;
    changed text[];
    identifier text;
    old_owner record;
    new_owner record;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        was := to_jsonb(OLD) - ignored;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        becomes := to_jsonb(NEW) - ignored;
    END IF;
    IF was = becomes THEN
        RETURN NULL;
    END IF;
    present := coalesce(becomes, was);
    SELECT string_agg(present->>column_, ',' ORDER BY place) INTO identifier
        FROM unnest(string_to_array(TG_ARGV[0], ',')) WITH ORDINALITY AS key_(column_, place);
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(key) INTO changed FROM jsonb_each(becomes) WHERE value IS DISTINCT FROM was->key;
        old_owner := public.audit_owner(was, TG_ARGV[2]);
    ELSE
        SELECT array_agg(key) INTO changed FROM jsonb_each(present) WHERE value <> 'null';
    END IF;
    new_owner := public.audit_owner(present, TG_ARGV[2]);
    IF TG_OP = 'UPDATE' AND old_owner IS DISTINCT FROM new_owner THEN  -- each side reads what was, or is, its own
        INSERT INTO public.audit_entries (action, table_name, row_id, subject, collectivity_id, school_id, before, after)
        VALUES ('leave', TG_TABLE_NAME, identifier, was->>TG_ARGV[1], old_owner.collectivity, old_owner.school,
                public.audit_told(was, changed, masked), NULL),
               ('arrive', TG_TABLE_NAME, identifier, becomes->>TG_ARGV[1], new_owner.collectivity, new_owner.school,
                NULL, public.audit_told(becomes, changed, masked));
    ELSE
        INSERT INTO public.audit_entries (action, table_name, row_id, subject, collectivity_id, school_id, before, after)
        VALUES (lower(TG_OP), TG_TABLE_NAME, identifier, present->>TG_ARGV[1], new_owner.collectivity,
                new_owner.school, public.audit_told(was, changed, masked), public.audit_told(becomes, changed, masked));
    END IF;
    RETURN NULL;
END
$$;

-- AFTER TRUNCATE of an audited table.
CREATE OR REPLACE FUNCTION audit_note_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.audit_entries (action, table_name) VALUES ('truncate', TG_TABLE_NAME);
    RETURN NULL;
END
$$;

-- An entry for what changes no audited row: somebody signed in, a file left.
CREATE OR REPLACE FUNCTION audit_event(
    what text, target text, target_id text, called text, told jsonb, collectivity uuid, school uuid
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO public.audit_entries (action, table_name, row_id, subject, after, collectivity_id, school_id)
    VALUES (what, target, target_id, called, told, collectivity, school)
$$;

-- At commit: every entry of the transaction gets the next number and hash. Only here do writers wait for each other.
CREATE OR REPLACE FUNCTION audit_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head public.audit_head;
    entry record;
BEGIN
    IF EXISTS (SELECT FROM public.audit_links WHERE entry_id = NEW.id) THEN
        RETURN NULL;  -- the first entry of the transaction took the others along
    END IF;
    SELECT * INTO STRICT head FROM public.audit_head FOR UPDATE;
    FOR entry IN
        SELECT id, digest FROM public.audit_entries
        WHERE id >= NEW.id AND transaction_id = NEW.transaction_id ORDER BY id
    LOOP
        head.number := head.number + 1;
        head.hash := sha256(head.hash || entry.digest || int8send(head.number));
        INSERT INTO public.audit_links (number, entry_id, hash) VALUES (head.number, entry.id, head.hash);
    END LOOP;
    UPDATE public.audit_head SET number = head.number, hash = head.hash;
    RETURN NULL;
END
$$;

-- BEFORE UPDATE or TRUNCATE of entries and links.
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- BEFORE DELETE of entries and links: only what audit_cut has put before the start may go.
CREATE OR REPLACE FUNCTION audit_keep() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    old_row jsonb := to_jsonb(OLD);
    position_ bigint := old_row->>'number';
BEGIN
    IF TG_TABLE_NAME = 'audit_entries' THEN
        SELECT number INTO position_ FROM audit_links WHERE entry_id = (old_row->>'id')::bigint;
    END IF;
    IF position_ <= (SELECT start_number FROM audit_head) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only: DELETE refused', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Forget what is older than a moment, at least 180 days ago; return how many entries went. The new start is itself an
-- entry, so the chain says that, when and by whom it was cut.
CREATE OR REPLACE FUNCTION audit_cut(older_than timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    head audit_head;
    last audit_links;
    gone bigint;
BEGIN
    IF older_than > clock_timestamp() - interval '180 days' THEN
        RAISE EXCEPTION 'entries of the last 180 days stay' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    SELECT link.* INTO last FROM audit_links link
        WHERE link.number < (
            SELECT coalesce(min(kept.number), head.number + 1) FROM audit_links kept
            JOIN audit_entries entry ON entry.id = kept.entry_id WHERE entry.at >= older_than)
        ORDER BY link.number DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE audit_head SET start_number = last.number, start_hash = last.hash;
    DELETE FROM audit_entries USING audit_links link WHERE link.entry_id = id AND link.number <= last.number;
    DELETE FROM audit_links WHERE number <= last.number;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM audit_event('cut', 'audit_entries', last.number::text, NULL, jsonb_build_object(
        'number', last.number, 'hash', encode(last.hash, 'hex'), 'entries', gone), NULL, NULL);
    RETURN gone;
END
$$;
