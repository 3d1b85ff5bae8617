package pooling

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// seed makes the accounts, and as many further relations as the configuration wants connections to touch.
func seed(ctx context.Context, env bench.Env, raw json.RawMessage) error {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return err
	}
	url, err := env.URL("postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// The fill factor leaves room for updates of the same row in its own page.
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		drop table if exists shakedown_accounts;
		create table shakedown_accounts (id bigint primary key, name text not null, balance bigint not null) with (fillfactor = 20);
		insert into shakedown_accounts select id, 'account ' || id, 0 from generate_series(0, %d) as id;
		analyze shakedown_accounts`, accounts-1))
	if err != nil {
		return fmt.Errorf("seed postgres: %w", err)
	}
	const chunk = 500 // relations made in one transaction: each holds a lock until its end
	for from := 1; from <= config.Relations; from += chunk {
		_, err := conn.Exec(ctx, fmt.Sprintf(`
			do $$ begin
				for i in %d..%d loop
					execute format('drop table if exists shakedown_relation_%%s', i);
					execute format('create table shakedown_relation_%%s (id bigint primary key, a text, b text, c timestamptz)', i);
				end loop;
			end $$`, from, min(from+chunk-1, config.Relations)))
		if err != nil {
			return fmt.Errorf("seed postgres: %d relations: %w", config.Relations, err)
		}
	}
	return nil
}
