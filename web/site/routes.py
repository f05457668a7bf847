"""Where buyers' browsers knock: pages, what they load, and in development a sign-in.

Pages are not part of the API and not in its document: they ask it as any other front end does.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from web.answers import with_etag
from web.door import Door
from web.errors import not_found
from web.site.files import Asset, load_assets, render_pages
from web.site.policy import page_policy
from web.site.sign_in import SignInRoute, may_sign_in

KEPT = {"Cache-Control": "public, no-cache"}
"""Browsers may keep it, but ask each time."""


class SiteRoutes:
    def __init__(self, door: Door) -> None:
        self._settings = door.settings
        self._headers = {**KEPT, "Content-Security-Policy": page_policy(door.settings)}

    @cached_property
    def _assets(self) -> Mapping[str, Asset]:
        return load_assets()

    @cached_property
    def _pages(self) -> Mapping[str, bytes]:
        return render_pages(self._settings)

    async def root(self, request: Request) -> Response:
        return RedirectResponse("/shop/")

    async def shop(self, request: Request) -> Response:
        return self._page("shop")

    async def checkout(self, request: Request) -> Response:
        """Whether there is such a plan the page finds out itself."""
        return self._page("checkout")

    async def account(self, request: Request) -> Response:
        return self._page("account")

    async def asset(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise not_found()
        return with_etag(request, Response(asset.body, headers=KEPT, media_type=asset.media_type))

    def _page(self, name: str) -> Response:
        """Sent whole each time: a 304 would carry another policy than the page that it stands for."""
        return Response(self._pages[name], headers=self._headers, media_type="text/html")


def site_routes(door: Door) -> Iterator[Route]:
    site = SiteRoutes(door)
    yield Route("/", site.root)
    yield Route("/shop/", site.shop)
    yield Route("/shop/checkout/{plan_id:int}/", site.checkout)
    yield Route("/account/", site.account)
    yield Route("/site/{name}", site.asset)
    if may_sign_in(door.settings):
        yield Route("/account/sign-in/", SignInRoute(door.settings).sign_in, methods=["POST"])
