"""The section [store]: what names a store, and that no password is ever shown."""

import pytest
from pydantic import ValidationError

from serving.store_settings import StoreSettings, shown_url


@pytest.mark.parametrize("url", ["history", "lmdb:", "redis:", "http://localhost"])
def test_a_url_that_names_no_store_is_refused(url):
    with pytest.raises(ValidationError, match="is no store; write lmdb: and a folder"):
        StoreSettings(url=url)


def test_settings_keep_more_than_the_look_back():
    assert StoreSettings().keep_days == 730
    with pytest.raises(ValidationError, match="greater than or equal to 366"):
        StoreSettings(keep_days=365)


URLS = {
    "redis://:secret@host:6379/0": "redis://***@host:6379/0",
    "rediss://user:secret@host": "rediss://***@host",
    "unix://:secret@/a/socket?db=2": "unix://***@/a/socket?db=2",
    "unix:///a/socket?db=2&password=secret": "unix:///a/socket?db=2&password=***",
    "redis://host/0?password=secret&db=1": "redis://host/0?password=***&db=1",
    "redis://:sec/r@et@host/0": "redis://***@host/0",
    "redis//:secret@host": "***@host",
    "lmdb:a@b": "lmdb:a@b",
}


@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_a_url_is_shown_without_what_is_secret(url, shown):
    assert shown_url(url) == shown


@pytest.mark.parametrize("url", [url for url in URLS if "://" in url])
def test_no_text_of_the_settings_shows_a_password(url):
    settings = StoreSettings(url=url)
    assert "secret" not in repr(settings) + str(settings)
    for wrong in ({"timeout_ms": 0}, {"url": url.replace("://", "//")}, {"uri": 1}):
        with pytest.raises(ValidationError) as error:
            StoreSettings(**({"url": url} | wrong))
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", [url for url in URLS if "://" in url])
def test_a_password_stands_in_the_url_or_in_the_environment(url):
    with pytest.raises(ValidationError, match="the url holds a password already"):
        StoreSettings(url=url, password_env="REDIS_PASSWORD")
    for without in ("redis://user@host/0", "redis://host:6379/0", "unix:///a/b:c?db=1"):
        assert StoreSettings(url=without, password_env="REDIS_PASSWORD").password_env


@pytest.mark.parametrize("prefix", ["", "a:b", "a b", "x" * 101])
def test_a_prefix_has_no_colon_so_no_stores_keys_are_another_ones(prefix):
    with pytest.raises(ValidationError, match="prefix"):
        StoreSettings(prefix=prefix)
