"""Views over the loaded tables, one SQL file each; `create_views` creates them in a destination."""

from .create import CreatedViews, create_views, open_views, refresh_views, write_dbt_package

__all__ = ["CreatedViews", "create_views", "open_views", "refresh_views", "write_dbt_package"]
