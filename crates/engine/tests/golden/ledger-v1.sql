-- A ledger of format 1, as the builds before format 2 wrote it for this list:
--     http://h/a
--     http://h/b?token=1
--     http://h/a
--     http://h/c
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        occurrence INTEGER NOT NULL,
        copies INTEGER NOT NULL,
        run INTEGER NOT NULL,
        url TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        path TEXT,
        len_bytes INTEGER,
        modified_ns INTEGER,
        validator TEXT,
        digest TEXT,
        attempts INTEGER,
        error_kind TEXT,
        error TEXT,
        settled_unix_ms INTEGER
    );
CREATE TABLE name (key BLOB PRIMARY KEY, entry INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        started INTEGER NOT NULL,
        ended INTEGER,
        read_entries INTEGER NOT NULL DEFAULT 0,
        read_all INTEGER NOT NULL DEFAULT 0
    );
INSERT INTO run VALUES (1, 1751364000000, 1751364001000, 4, 1);
INSERT INTO entry VALUES
    (1, x'e650180b2d5db688abde38df35d43acd', 0, 2, 1, 'http://h/a', 'done', 'a', 1, 1700000000123456789, '{"etag":"\"v1\"","last_modified":null,"total_bytes":1}', NULL, NULL, NULL, NULL, 1751364000500),
    (2, x'a6a8f5e4edcbd86d302e336e09af79e5', 0, 1, 1, 'http://h/b?token=***', 'failed_permanent', NULL, NULL, NULL, NULL, NULL, 2, 'status:404', 'the server answered 404 Not Found', 1751364000500),
    (3, x'2e01c1af70267a9e6b0cf3f3a7d38654', 1, 1, 1, 'http://h/a', 'done', 'a.1', 1, 1700000000123456789, '{"etag":"\"v1\"","last_modified":null,"total_bytes":1}', NULL, NULL, NULL, NULL, 1751364000500),
    (4, x'80685760a519b6c1f221c2f4282cf209', 0, 1, 1, 'http://h/c', 'failed', NULL, NULL, NULL, NULL, NULL, 5, 'stalled', 'nothing came for 30 s', 1751364000500);
INSERT INTO name VALUES (x'e650180b2d5db688abde38df35d43acd', 1), (x'a6a8f5e4edcbd86d302e336e09af79e5', 2), (x'2e01c1af70267a9e6b0cf3f3a7d38654', 3), (x'80685760a519b6c1f221c2f4282cf209', 4);
PRAGMA application_id = 1415007310;
PRAGMA user_version = 1;
COMMIT;
