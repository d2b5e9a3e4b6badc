"""Django in one module: sync and async views, sessions on sqlite, streaming, StaticFiles.

The tests copy it to a folder of their own, where the database is; `python django_app.py migrate` makes that.
"""

import asyncio
import hashlib
import os
import sys
import threading

import django
from django.conf import settings

FOLDER = os.path.dirname(os.path.abspath(__file__))

settings.configure(
    DEBUG=True,
    SECRET_KEY="secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(FOLDER, "db.sqlite3"), "OPTIONS": {"timeout": 20}}},
    STATIC_URL="static/",
    STATICFILES_DIRS=[os.path.join(FOLDER, "static")],
    FILE_UPLOAD_MAX_MEMORY_SIZE=64 * 1024,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    LOGGING_CONFIG=None,
)
django.setup()

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.db import transaction
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_exempt

notes = {}
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


def note(name, value):
    notes[name] = value
    gate(name).set()


async def noted(request, name):
    await gate(name).wait()
    return JsonResponse(notes[name], safe=False)


def sync_view(request):
    return JsonResponse({"main": threading.current_thread() is threading.main_thread(), "q": request.GET.getlist("q")})


async def async_view(request):
    await asyncio.sleep(0)
    return JsonResponse({"main": threading.current_thread() is threading.main_thread(), "q": request.GET.getlist("q")})


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session["count"]})


async def async_count(request):
    return await sync_to_async(count)(request)


async def users(request):
    """The async interface of the ORM, and a transaction in a thread."""
    @sync_to_async
    def rename(pk):
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=pk)
            user.first_name = "Ann"
            user.save()

    user = await User.objects.acreate(username=request.GET["name"])
    await rename(user.pk)
    return JsonResponse({"names": [user.first_name async for user in User.objects.filter(username=request.GET["name"])]})


async def stream(request):
    async def rows():
        for row in range(3):
            await asyncio.sleep(0)
            yield "row %d\n" % row

    return StreamingHttpResponse(rows(), content_type="text/csv")


def sync_stream(request):
    return StreamingHttpResponse("row %d\n" % row for row in range(3))


async def endless(request, name):
    async def ticks():
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            note("endless " + name, "ended")

    return StreamingHttpResponse(ticks())


async def slow(request, name):
    note("slow " + name + " began", True)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        note("slow " + name, "cancelled")
        raise


def token(request):
    return JsonResponse({"token": get_token(request)})


def form(request):
    return JsonResponse(request.POST.dict())


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({
        "title": request.POST["title"],
        "name": file.name,
        "size": file.size,
        "sha256": digest.hexdigest(),
        "spooled": hasattr(file, "temporary_file_path"),
    })


@csrf_exempt
def raw(request):
    return HttpResponse(hashlib.sha256(request.body).hexdigest())


def download(request):
    return FileResponse(open(os.path.join(FOLDER, "static", "blend.bin"), "rb"), as_attachment=True)


def where(request):
    return JsonResponse({
        "path": request.path,
        "info": request.path_info,
        "uri": request.build_absolute_uri(),
        "where": reverse("where"),
        "secure": request.is_secure(),
        "address": request.META.get("REMOTE_ADDR"),
        "script": request.META["SCRIPT_NAME"],
    })


def meta(request):
    return JsonResponse({name: value for name, value in request.META.items() if name.startswith(("HTTP_X_", "CONTENT_"))})


def environment(request):
    return JsonResponse({name: os.environ.get(name) for name in request.GET})


def raises(request):
    raise RuntimeError("out of tea")


urlpatterns = [
    path("noted/<path:name>", noted),
    path("sync", sync_view),
    path("async", async_view),
    path("count/sync", count),
    path("count/async", async_count),
    path("users", users),
    path("stream", stream),
    path("stream/sync", sync_stream),
    path("stream/endless/<name>", endless),
    path("slow/<name>", slow),
    path("token", token),
    path("form", form),
    path("upload", upload),
    path("raw", raw),
    path("download", download),
    path("where", where, name="where"),
    path("meta", meta),
    path("environment", environment),
    path("raise", raises),
    path("slash/", sync_view),
]

app = ASGIStaticFilesHandler(get_asgi_application())

if __name__ == "__main__":
    from django.core.management import call_command

    call_command(sys.argv[1], verbosity=0)
