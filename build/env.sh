# What every launcher sets before it calls the .NET SDK.
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
# the SDK must not need ICU: minimal machines do not have it, and nothing here depends on a culture
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
