using System;

Console.Error.WriteLine("sim: nothing to run yet");
return 2;
