# Cross-compiles with the C compiler of the ziglang package, to a static program that any Linux of the architecture runs.
#
#     -DBOARD=aarch64                  64-bit (the default)
#     -DBOARD=armv7l                   32-bit, hard float
#     -DPYTHON=.venv/bin/python        the Python that has ziglang
set(BOARD "aarch64" CACHE STRING "aarch64 or armv7l")
set(PYTHON "python3" CACHE STRING "A Python with the ziglang package")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BOARD PYTHON)

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR "${BOARD}")
if(BOARD STREQUAL "armv7l")
  set(board_triple arm-linux-musleabihf)
else()
  set(board_triple aarch64-linux-musl)
endif()

set(CMAKE_C_COMPILER "${PYTHON}" -m ziglang cc -target ${board_triple})
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_AR "${PYTHON}" CACHE FILEPATH "")
set(CMAKE_C_ARCHIVE_CREATE "<CMAKE_AR> -m ziglang ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "<CMAKE_AR> -m ziglang ranlib <TARGET>")
